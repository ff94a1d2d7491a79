//! A disk that can be full.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::{env, fs};

use super::programs::{make_folder, run, server_user};

const FOLDER_VARIABLE: &str = "GUILDHALL_TEST_SMALL_DISK";

/// A folder on a file system of its own, of 48 MiB, that the server may write to. Root mounts one
/// in memory; others name a folder on a small file system in `GUILDHALL_TEST_SMALL_DISK`. It is
/// gone when dropped, however the tests end.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    folder: PathBuf,
    guard: Option<(Child, ChildStdin)>,
}

impl SmallDisk {
    pub(crate) fn mount() -> Self {
        const MAX_BYTES: u64 = 1 << 30;
        let user = server_user();
        let disk = if user.is_some() {
            let folder = make_folder(None, user);
            let disk = Self { guard: Some(stand_guard(&folder)), folder };
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", "size=48m,mode=777", "tmpfs"]);
            run(mount.arg(&disk.folder));
            disk
        } else {
            let folder = env::var(FOLDER_VARIABLE).unwrap_or_else(|_| {
                panic!(
                    "this test fills a disk: run it as root, which mounts a small one in memory, or \
                     set {FOLDER_VARIABLE} to a folder on a file system of 48 MiB to 1 GiB"
                )
            });
            Self { folder: make_folder(Some(folder.as_ref()), user), guard: None }
        };
        let free = run(Command::new("df").args(["--output=avail", "-B1"]).arg(disk.folder()));
        let free: u64 = free.lines().last().unwrap().trim().parse().unwrap();
        assert!(free <= MAX_BYTES, "{free} bytes are no small disk");
        disk
    }

    /// A fresh folder on it.
    pub(crate) fn make_folder(&self) -> PathBuf {
        make_folder(Some(&self.folder), server_user())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Leaves no room on it.
    pub(crate) fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        for piece in [1 << 20, 1 << 12, 1] {
            while filler.write_all(&vec![0; piece]).is_ok() {}
        }
    }

    /// Makes room again.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        match self.guard.take() {
            Some((mut guard, pipe)) => {
                drop(pipe);
                guard.wait().expect("the guard ends");
            }
            None => drop(fs::remove_dir_all(&self.folder)),
        }
    }
}

/// Starts the shell that unmounts the disk once the pipe from this process ends.
fn stand_guard(folder: &Path) -> (Child, ChildStdin) {
    use std::os::unix::process::CommandExt;
    const SCRIPT: &str = r#"
        trap '' INT HUP TERM QUIT
        cat > /dev/null
        umount --lazy "$1"
        rmdir "$1"
    "#;
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT, "sh"]).arg(folder).current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut guard = shell.spawn().expect("a shell");
    let pipe = guard.stdin.take().expect("its standard input");
    (guard, pipe)
}
