//! Private keys in files, in the form of C2SP signed-note (`PRIVATE+KEY+<name>+<id>+<base64>`), a line
//! each.
//!
//! A key is made once and never overwritten, and one that others may have read is refused: on Unix the
//! file has to belong to this user alone (0600 or stricter). Elsewhere permissions are not checked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use guildhall_proof::{KeyError, KeyName, KeyType, SigningKey};
use zeroize::Zeroizing;

/// How long a key's file may be, in bytes. A key has some 90, and its name.
pub const MAX_BYTES: usize = 4096;

/// Why there is no key. What the file holds is never repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// Something exists there already: a key never overwrites anything.
    #[error("{} exists already, and a key never overwrites anything", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others may read or write the file.
    #[error("{} is open to others: its mode is {mode:04o}, where a key's is 0600", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file is another user's, who can read it whatever its mode.
    #[error("{} belongs to the user {owner}, and this is the user {user}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The file's owner.
        owner: u32,
        /// Who runs this process.
        user: u32,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// It is longer than [`MAX_BYTES`].
    #[error("{} is not a key: it has more than {MAX_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("{} does not hold a private key", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// It is a key for something else: a log's and a witness's are never the same.
    #[error(
        "{} holds a key of type 0x{:02x}, and this takes 0x{:02x}",
        path.display(), found.byte(), expected.byte()
    )]
    OtherType {
        /// The file.
        path: PathBuf,
        /// The key's type.
        found: KeyType,
        /// The type that is asked for.
        expected: KeyType,
    },
    /// The file cannot be read.
    #[error("reading the key {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written; none is left behind.
    #[error("writing the key {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system has no random bytes.
    #[error("the system has no random bytes: {0}")]
    NoRandomness(getrandom::Error),
}

/// Makes a key of the system's random bytes, and a file that holds it, readable by this user alone.
/// Returned means durable: file and folder are synced.
///
/// # Errors
/// [`KeyFileError`]. What exists at the path is left alone.
pub fn create(path: &Path, name: KeyName, key_type: KeyType) -> Result<SigningKey, KeyFileError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(KeyFileError::NoRandomness)?;
    let key = SigningKey::from_seed(name, key_type, &seed)
        .map_err(|source| KeyFileError::NotAKey { path: path.to_owned(), source })?;
    let mut options = OpenOptions::new();
    // Neither a file nor a link that is there is opened (O_EXCL).
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => KeyFileError::Write { path: path.to_owned(), source },
    })?;
    if let Err(source) = write(file, path, &key) {
        // It is ours and useless. If it stays, the next attempt says that it is there.
        let _ = fs::remove_file(path);
        return Err(KeyFileError::Write { path: path.to_owned(), source });
    }
    Ok(key)
}

fn write(mut file: File, path: &Path, key: &SigningKey) -> io::Result<()> {
    file.write_all(key.to_secret_text().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    sync_folder_of(path)
}

/// Makes the name of a file durable. Only on Unix can a folder be synced.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Reads a key.
///
/// # Errors
/// [`KeyFileError`]: on Unix also where the file is not this user's alone.
pub fn read(path: &Path) -> Result<SigningKey, KeyFileError> {
    let reading = |source| KeyFileError::Read { path: path.to_owned(), source };
    // A pipe that nobody writes to would be waited for.
    if !fs::metadata(path).map_err(reading)?.is_file() {
        return Err(KeyFileError::NotAFile { path: path.to_owned() });
    }
    let mut file = File::open(path).map_err(reading)?;
    // Of what is open, whatever stands at the path by now.
    check_owner_alone(path, &file.metadata().map_err(reading)?)?;
    let mut bytes = Zeroizing::new([0; MAX_BYTES + 1]);
    let mut length = 0;
    loop {
        match file.read(&mut bytes[length..]).map_err(reading)? {
            0 if length > MAX_BYTES => {
                return Err(KeyFileError::TooLong { path: path.to_owned() });
            }
            0 => break,
            more => length += more,
        }
    }
    // What is not UTF-8 is not of the form of a key either.
    let text = std::str::from_utf8(&bytes[..length]).unwrap_or_default();
    let key = text.trim_ascii().parse();
    key.map_err(|source| KeyFileError::NotAKey { path: path.to_owned(), source })
}

/// As [`read`], of a key of this type.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_of(path: &Path, expected: KeyType) -> Result<SigningKey, KeyFileError> {
    let key = read(path)?;
    match guildhall_proof::Signer::key(&key).key_type() {
        found if found == expected => Ok(key),
        found => Err(KeyFileError::OtherType { path: path.to_owned(), found, expected }),
    }
}

#[cfg(unix)]
fn check_owner_alone(path: &Path, found: &fs::Metadata) -> Result<(), KeyFileError> {
    use std::os::unix::fs::MetadataExt as _;

    let (owner, user) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Err(KeyFileError::Foreign { path: path.to_owned(), owner, user });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Open { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner_alone(_path: &Path, _found: &fs::Metadata) -> Result<(), KeyFileError> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use guildhall_proof::Signer as _;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn make(path: &Path) -> Result<SigningKey, KeyFileError> {
        create(path, "w.example/1".parse().unwrap(), KeyType::Cosignature)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_is_read_as_it_was_made_and_no_two_are_alike() {
        let folder = folder();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        let key = make(&one).unwrap();
        assert_eq!(read(&one).unwrap().key(), key.key());
        assert_ne!(make(&other).unwrap().key(), key.key());
        assert_eq!(fs::metadata(&one).unwrap().permissions().mode() & 0o7777, 0o600);
        let text = fs::read_to_string(&one).unwrap();
        assert!(text.starts_with("PRIVATE+KEY+w.example/1+") && text.ends_with('\n'), "{text}");
        assert!(read_of(&one, KeyType::Cosignature).is_ok());
        let error = read_of(&one, KeyType::Ed25519).unwrap_err();
        assert!(matches!(error, KeyFileError::OtherType { .. }), "{error}");
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = folder();
        let (there, link) = (folder.path().join("there"), folder.path().join("link"));
        fs::write(&there, "kept").unwrap();
        symlink(folder.path().join("elsewhere"), &link).unwrap();
        for path in [&there, &link] {
            let error = make(path).unwrap_err();
            assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
        }
        assert_eq!(fs::read_to_string(there).unwrap(), "kept");
        assert!(!folder.path().join("elsewhere").exists());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = folder();
        let path = folder.path().join("key");
        make(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o610, 0o666] {
            set_mode(&path, mode);
            let error = read(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::Open { mode: found, .. } if found == mode));
        }
        for mode in [0o600, 0o400] {
            set_mode(&path, mode);
            read(&path).unwrap();
        }
    }

    /// Only root can give a file away; where the tests run as somebody else, this shows nothing.
    #[test]
    fn a_key_of_another_user_is_refused() {
        let folder = folder();
        let path = folder.path().join("key");
        make(&path).unwrap();
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
            let error = read(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::Foreign { owner: 12_345, .. }), "{error}");
        }
    }

    /// The fifth field of a key's text; base64 has `+` among its letters.
    fn seed_of(secret: &str) -> &str {
        secret.splitn(5, '+').last().unwrap()
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let folder = folder();
        let path = folder.path().join("key");
        let secret = make(&path).unwrap().to_secret_text();
        let damaged = [
            secret.replace("PRIVATE", "private"),
            secret.replace("w.example/1", "w.example/2"),
            secret[..secret.len() - 1].to_owned(),
            secret.replace('+', " "),
            format!("{}\n{}", *secret, *secret),
            " ".repeat(MAX_BYTES + 1),
            String::new(),
        ];
        let seed = seed_of(&secret);
        for text in damaged {
            fs::write(&path, &text).unwrap();
            let error = read(&path).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(!said.contains(&seed[..seed.len() - 1]), "{said}");
            let is_expected =
                matches!(error, KeyFileError::NotAKey { .. } | KeyFileError::TooLong { .. });
            assert!(is_expected, "{said}");
        }
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, KeyFileError::NotAFile { .. }), "{error}");
        let key = make(&folder.path().join("another")).unwrap();
        assert!(!format!("{key:?}").contains(seed_of(&key.to_secret_text())));
    }
}
