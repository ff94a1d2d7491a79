//! The server programs of this machine, the folders that they work in, and the user who runs them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

/// The folder of the newest server programs.
pub(super) fn find_programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).map(|folder| fs::canonicalize(folder.join("postgres")));
    let in_path = in_path.filter_map(|program| Some(program.ok()?.parent()?.to_owned()));
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let is_complete = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file())
    };
    let version = |folder: &PathBuf| {
        let said = run(Command::new(folder.join("postgres")).arg("--version"));
        let number = said.split_whitespace().find_map(|word| {
            let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        number.unwrap_or(0)
    };
    in_path.chain(debian).filter(is_complete).max_by_key(version)
}

/// A fresh folder that the user can enter, with a path short enough for a socket in it.
pub(super) fn make_folder(within: Option<&Path>, user: Option<&str>) -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let nth = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("guildhall-pg-{}-{nth}", std::process::id());
    let temporary = env::temp_dir();
    // Root's own temporary folder may be closed to others, and a socket's path ends at 107 bytes.
    let is_fit = temporary.as_os_str().len() < 60
        && user.is_none_or(|user| {
            Command::new("runuser")
                .args(["-u", user, "--", "test", "-x"])
                .arg(&temporary)
                .status()
                .is_ok_and(|status| status.success())
        });
    let folder = within.unwrap_or(if is_fit { &temporary } else { Path::new("/tmp") }).join(name);
    fs::create_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    run(Command::new("chmod").arg("700").arg(&folder));
    if let Some(user) = user {
        run(Command::new("chown").arg(user).arg(&folder));
    }
    folder
}

/// Who runs the server, if not whoever runs the tests: initdb refuses to run as root.
pub(super) fn server_user() -> Option<&'static str> {
    let is_root = run(Command::new("id").arg("-u")).trim() == "0";
    is_root.then(|| if exists_user("postgres") { "postgres" } else { "nobody" })
}

fn exists_user(name: &str) -> bool {
    Command::new("id").arg(name).output().is_ok_and(|output| output.status.success())
}

/// What a program says on its standard output.
pub(super) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
