//! What a guild is opened from, and how a text says so.

use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(feature = "postgres")]
use guildhall_store_postgres::PostgresStore;
#[cfg(feature = "sqlite")]
use guildhall_store_sqlite::SqliteStore;

/// Where the Chronicle and the Ops DB of a guild are.
#[derive(Clone)]
#[non_exhaustive]
pub enum Source {
    /// In memory: nothing is left when the last handle is dropped.
    Memory,
    /// Where this text says: `sqlite:PATH`, a plain path, or `postgres://USER@HOST/DATABASE` as
    /// libpq writes it. It may hold a password, and is not shown.
    Url(String),
    /// In this file.
    File(PathBuf),
    /// In a store that is open.
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteStore),
    /// In a store that is open.
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => formatter.write_str("Memory"),
            Self::Url(_) => formatter.write_str("Url(..)"),
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => formatter.write_str("Sqlite(..)"),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => formatter.write_str("Postgres(..)"),
        }
    }
}

impl From<&str> for Source {
    fn from(url: &str) -> Self {
        Self::Url(url.to_owned())
    }
}

impl From<String> for Source {
    fn from(url: String) -> Self {
        Self::Url(url)
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

#[cfg(feature = "sqlite")]
impl From<SqliteStore> for Source {
    fn from(store: SqliteStore) -> Self {
        Self::Sqlite(store)
    }
}

#[cfg(feature = "postgres")]
impl From<PostgresStore> for Source {
    fn from(store: PostgresStore) -> Self {
        Self::Postgres(store)
    }
}

/// What a text names.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place<'a> {
    /// A file of SQLite.
    File(&'a Path),
    /// The URL of a PostgreSQL server, which may hold a password and is not shown.
    Postgres(&'a str),
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Self::Postgres(_) => formatter.write_str("Postgres(..)"),
        }
    }
}

impl<'a> Place<'a> {
    /// How to write one.
    pub const USAGE: &'static str =
        "write sqlite:PATH, such as sqlite:guildhall.db, or postgres://USER@HOST/DATABASE";

    /// The place that a text names. Whatever else the text is, it may hold a password: neither a
    /// file is called like it, nor does the error repeat it.
    ///
    /// # Errors
    /// What is wrong with it, and how to write it.
    pub fn of(text: &'a str) -> Result<Self, &'static str> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text));
        }
        let named = text.strip_prefix("sqlite:");
        match (named.unwrap_or(text), named.is_some()) {
            ("", _) => Err(Self::USAGE),
            (":memory:", _) => Err(
                "what is kept in memory alone has no URL: name a file, such as sqlite:guildhall.db",
            ),
            // What other programs write there would become the name of a file here.
            (path, true) if path.starts_with("//") || path.starts_with("file:") => {
                Err("write the path alone after sqlite:, such as sqlite:guildhall.db")
            }
            (path, true) if path.contains('?') => {
                Err("sqlite: takes no parameters, and no path with a question mark")
            }
            (path, false) if looks_like_a_url(path) => Err(
                "write sqlite:PATH, also for a path with a colon in it, or postgres://USER@HOST/DATABASE",
            ),
            (path, _) => Ok(Self::File(Path::new(path))),
        }
    }
}

/// Whether a colon comes before the first slash, other than after the letter of a drive.
fn looks_like_a_url(text: &str) -> bool {
    let first = text.split(['/', '\\']).next().unwrap_or(text);
    first.find(':').is_some_and(|at| at != 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_a_path_with_or_without_a_scheme() {
        for path in ["a.db", "./a b.db", "/tmp/a:b.db", "./profile:x.db", r"C:\guild.db"] {
            assert!(
                Place::of(path).is_ok_and(|place| place == Place::File(path.as_ref())),
                "{path}"
            );
        }
        for path in ["a.db", "/tmp/a:b.db", "profile:x.db"] {
            let text = format!("sqlite:{path}");
            assert!(
                Place::of(&text).is_ok_and(|place| place == Place::File(path.as_ref())),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_path_is_not_taken_for_one_and_not_repeated() {
        for text in [
            "",
            ":memory:",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:file:secret.db",
            "sqlite://secret.db",
            "sqlite:///secret.db",
            "sqlite:secret.db?mode=ro",
            "file:secret.db",
            "postgre://app:secret@db/ops",
            "POSTGRES://app:secret@db/ops",
            "postgres:app:secret@db/ops",
            "mysql://app:secret@db/ops",
            "app:secret@db/ops",
        ] {
            let refused = Place::of(text).err();
            assert!(
                refused.is_some_and(|reason| !reason.contains("secret")),
                "{text}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_source_does_not_show_its_url() {
        let url = "postgres://app:secret@db/ops";
        assert_eq!(format!("{:?}", Source::from(url)), "Url(..)");
        assert_eq!(format!("{:?}", Place::of(url)), "Ok(Postgres(..))");
    }
}
