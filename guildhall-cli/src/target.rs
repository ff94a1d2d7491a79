//! Where results go: standard output, or a file that is complete or does not exist.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{self, Poll, ready};

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWrite;

/// Whoever read standard output has closed it, as `head` does when it has seen enough. A program that
/// fails with this ends without a word.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed by its reader")]
pub struct OutputClosed;

impl OutputClosed {
    /// Whether this is what an error comes of. A broken connection to a server is another matter, though
    /// it is a broken pipe to the operating system too.
    pub fn is_in(error: &anyhow::Error) -> bool {
        let is = |cause: &(dyn std::error::Error + 'static)| {
            let io = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            io.is_some_and(|inner| inner.is::<Self>())
        };
        error.chain().any(is)
    }

    /// An error of standard output, marked where it is this one.
    fn mark(error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::BrokenPipe => io::Error::new(io::ErrorKind::BrokenPipe, Self),
            _ => error,
        }
    }
}

/// Writes a text to standard output.
///
/// # Errors
/// The operating system's, with [`OutputClosed`] in the one that its reader causes. Unlike Rust's own
/// standard output, this one does not ignore that it cannot be written to.
pub fn print(text: &str) -> io::Result<()> {
    stdout()?.write_all(text.as_bytes()).map_err(OutputClosed::mark)
}

/// Standard output, without Rust's own buffer and without its leniency.
fn stdout() -> io::Result<File> {
    #[cfg(unix)]
    let owned = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
    #[cfg(windows)]
    let owned = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
    Ok(File::from(owned))
}

/// Whether what is written there is thrown away. A program whose standard output was closed cannot tell:
/// Rust opens the null device in its place.
#[cfg(unix)]
fn is_null_device(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let device = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|found| found.rdev());
    device(file.metadata())
        .is_some_and(|found| found != 0 && Some(found) == device(fs::metadata("/dev/null")))
}

#[cfg(not(unix))]
fn is_null_device(_file: &File) -> bool {
    false
}

/// Where an export goes.
#[derive(Debug)]
pub enum Target {
    /// Standard output.
    Stdout(File),
    /// A pipe or a device, which is written directly.
    Special(PathBuf),
    /// A file: written beside it first.
    File(PathBuf),
}

impl Target {
    /// The target that an argument names; - for standard output. Nothing is touched yet.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn named(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(stdout().context("writing to standard output")?));
        }
        let shown = path.display();
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                if folder.is_some_and(|folder| !folder.is_dir()) {
                    bail!("writing {shown}: its folder does not exist");
                }
                return Ok(Self::File(path.to_owned()));
            }
            Err(error) => return Err(error).with_context(|| format!("writing {shown}")),
        };
        let is_link = found.is_symlink();
        // /dev/stdout is a link to what may be a pipe.
        let found = if is_link { fs::metadata(path) } else { Ok(found) };
        let found = found.with_context(|| format!("writing {shown}"))?;
        match () {
            () if found.is_dir() => bail!("writing {shown}: it is a folder"),
            () if found.is_file() && is_link => {
                bail!("writing {shown}: it is a symbolic link; name the file itself")
            }
            () if found.is_file() => Ok(Self::File(path.to_owned())),
            () => Ok(Self::Special(path.to_owned())),
        }
    }

    /// Whether it is standard output, which then holds nothing else.
    pub fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }

    /// Writes a text there, whole or not at all where it is a file.
    ///
    /// # Errors
    /// What the system says, or what is in the way.
    pub fn write(&self, text: &str) -> Result<()> {
        let mut opened = self.open()?;
        let written = opened.file.write_all(text.as_bytes());
        written.map_err(|error| opened.marked(error)).context("writing")?;
        opened.finish()
    }

    /// Opens it.
    ///
    /// # Errors
    /// What the system says, or what is in the way.
    pub fn open(&self) -> Result<Opened> {
        Ok(match self {
            Self::Stdout(stdout) => {
                let file = stdout.try_clone().context("writing to standard output")?;
                Opened { file, is_stdout: true, partial: None }
            }
            Self::Special(path) => {
                let opened = OpenOptions::new().write(true).open(path);
                let file = opened.with_context(|| format!("writing {}", path.display()))?;
                Opened { file, is_stdout: false, partial: None }
            }
            Self::File(path) => {
                let (file, partial) = Partial::create(path)?;
                Opened { file, is_stdout: false, partial: Some(partial) }
            }
        })
    }
}

/// A target that is open.
#[derive(Debug)]
pub struct Opened {
    file: File,
    is_stdout: bool,
    partial: Option<Partial>,
}

impl Opened {
    /// What to write to. Its errors are the system's, with [`OutputClosed`] in the one that a reader of
    /// standard output causes.
    ///
    /// # Errors
    /// What the system says.
    pub fn writer(&self) -> io::Result<Writer> {
        let file = tokio::fs::File::from_std(self.file.try_clone()?);
        Ok(Writer { file, is_stdout: self.is_stdout })
    }

    /// Whether what is written there is thrown away.
    pub fn is_null_device(&self) -> bool {
        is_null_device(&self.file)
    }

    fn marked(&self, error: io::Error) -> io::Error {
        if self.is_stdout { OutputClosed::mark(error) } else { error }
    }

    /// All is written and flushed: puts the file in its place. Dropped without, an unfinished file
    /// is removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn finish(self) -> Result<()> {
        let Some(mut partial) = self.partial else { return Ok(()) };
        let writing = || format!("writing {}", partial.path.display());
        self.file.sync_all().with_context(writing)?;
        if !partial.is_there() {
            let beside = partial.beside.display();
            bail!("somebody removed or replaced {beside} meanwhile: nothing was exported");
        }
        fs::rename(&partial.beside, &partial.path).with_context(writing)?;
        partial.is_moved = true;
        Ok(())
    }
}

/// Writes to a target that is open.
#[derive(Debug)]
pub struct Writer {
    file: tokio::fs::File,
    is_stdout: bool,
}

impl Writer {
    fn marked<T>(&self, result: io::Result<T>) -> Poll<io::Result<T>> {
        Poll::Ready(if self.is_stdout { result.map_err(OutputClosed::mark) } else { result })
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.file).poll_write(context, bytes));
        self.marked(written)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.file).poll_flush(context));
        self.marked(flushed)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        let shut_down = ready!(Pin::new(&mut self.file).poll_shutdown(context));
        self.marked(shut_down)
    }
}

/// The file beside the target that becomes it. It is locked for as long as it is written, so that no
/// other export to the same target takes it for what a killed run left.
#[derive(Debug)]
struct Partial {
    path: PathBuf,
    beside: PathBuf,
    locked: File,
    is_moved: bool,
}

impl Partial {
    /// Creates it, for this user's eyes alone. What a run that was killed left there is removed;
    /// what no such run can have left, such as a link to elsewhere, is neither followed nor touched.
    fn create(path: &Path) -> Result<(File, Self)> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".partial");
        let beside = PathBuf::from(beside);
        let shown = beside.display();
        let is_busy = || format!("another export to {} is under way", path.display());
        match fs::symlink_metadata(&beside) {
            Ok(found) if found.is_file() => {
                let left = OpenOptions::new().write(true).open(&beside);
                let left = left.with_context(|| format!("removing {shown}"))?;
                if !lock(&left)? || !is_at(&left, &beside) {
                    bail!(is_busy());
                }
                fs::remove_file(&beside).with_context(|| format!("removing {shown}"))?;
            }
            Ok(_) => bail!("{shown} is in the way: it is not a regular file"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("writing {shown}")),
        }
        let mut options = OpenOptions::new();
        // What comes there meanwhile is not followed either: O_EXCL takes a link for what exists.
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(is_busy()),
            opened => opened.with_context(|| format!("writing {shown}"))?,
        };
        // Who looked between the two took it for what was left: theirs is there now.
        if !lock(&file)? || !is_at(&file, &beside) {
            bail!(is_busy());
        }
        let locked = file.try_clone().with_context(|| format!("writing {shown}"))?;
        Ok((file, Self { path: path.to_owned(), beside, locked, is_moved: false }))
    }

    /// Whether the file is where it was created.
    fn is_there(&self) -> bool {
        is_at(&self.locked, &self.beside)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_moved && self.is_there() {
            // The next export removes it, if this fails.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Locks a file until its last handle is closed; not where another has. Where a file system has no locks,
/// only [`is_at`] is left.
fn lock(file: &File) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).context("locking the file that is written"),
    }
}

/// Whether a path names this very file, and no other that took its place.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let id = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|it| (it.dev(), it.ino()));
    let found = id(fs::symlink_metadata(path));
    found.is_some() && found == id(file.metadata())
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn open(path: &Path) -> Result<Opened> {
        Target::named(path)?.open()
    }

    #[test]
    fn a_second_export_to_one_file_leaves_the_first_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut first = open(&path).unwrap();
        first.file.write_all(b"first").unwrap();
        let refused = open(&path).unwrap_err().to_string();
        assert!(refused.contains("another export"), "{refused}");
        first.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");

        let mut second = open(&path).unwrap();
        second.file.write_all(b"second").unwrap();
        second.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_run_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        fs::write(folder.path().join("log.jsonl.partial"), "half").unwrap();
        open(&path).unwrap().finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_replaced_while_it_was_written_is_not_put_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) =
            (folder.path().join("log.jsonl"), folder.path().join("log.jsonl.partial"));
        let opened = open(&path).unwrap();
        fs::remove_file(&beside).unwrap();
        fs::write(&beside, "another's").unwrap();
        let refused = opened.finish().unwrap_err().to_string();
        assert!(refused.contains("replaced"), "{refused}");
        assert!(!path.exists());
        assert_eq!(fs::read(&beside).unwrap(), b"another's", "and left alone");
    }
}
