//! The database that an argument names: SQLite or PostgreSQL, the same from here on.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use guildhall::sqlite::CloseError;
use guildhall::{Guild, GuildError, Source};
use guildhall_core::OnViolation;
use guildhall_core::text::escape_for_terminal;

use crate::progress::say;

/// How long a killed run keeps the next one waiting at most.
const LEASE_TIME: Duration = Duration::from_millis(500);

/// Where the Chronicle and the Ops DB are, as `--database` says it.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file.
    Sqlite(PathBuf),
    /// A URL, which may hold a password and is not shown.
    #[cfg(feature = "postgres")]
    Postgres(String),
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => formatter.debug_tuple("Sqlite").field(path).finish(),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => formatter.write_str("Postgres(..)"),
        }
    }
}

impl std::str::FromStr for Location {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return postgres(text);
        }
        match text.strip_prefix("sqlite:") {
            // What other programs write there would become the name of a file here.
            Some(path) if path.starts_with("//") || path.starts_with("file:") => {
                Err("after sqlite: comes the path of the file alone, such as sqlite:guildhall.db")
            }
            Some(path) if path.contains('?') => {
                Err("sqlite: takes no parameters, and no path with a question mark")
            }
            Some(":memory:") => Err("sqlite: takes a file, such as sqlite:guildhall.db"),
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            // Whatever it is, it may hold a password: it is not repeated.
            _ => Err(
                "write sqlite:PATH, such as sqlite:guildhall.db, or postgres://USER@HOST/DATABASE",
            ),
        }
    }
}

#[cfg(feature = "postgres")]
fn postgres(url: &str) -> Result<Location, &'static str> {
    Ok(Location::Postgres(url.to_owned()))
}

#[cfg(not(feature = "postgres"))]
fn postgres(_url: &str) -> Result<Location, &'static str> {
    Err("this program was built without PostgreSQL: cargo run --features postgres …")
}

/// Opens what is there, and makes what is missing.
///
/// # Errors
/// The store's own.
pub async fn open(location: &Location, on_violation: OnViolation) -> Result<Guild> {
    let source = match location {
        Location::Sqlite(path) => Source::File(path.clone()),
        #[cfg(feature = "postgres")]
        Location::Postgres(url) => Source::Url(url.clone()),
    };
    let builder = Guild::builder(source).on_violation(on_violation).lease_time(LEASE_TIME);
    Ok(builder.open().await?)
}

/// Closes it, so that a file stands alone and can be copied. Where another process has it open, it
/// says what stays beside the file.
///
/// # Errors
/// The store's own.
pub async fn close(guild: &Guild) -> Result<()> {
    match guild.close().await {
        Err(GuildError::Close(busy @ CloseError::InUse { .. })) => {
            say(&escape_for_terminal(&busy.to_string()));
            Ok(())
        }
        closed => Ok(closed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_not_shown_whether_it_is_good_or_bad() {
        let good = "postgres://app:secret@db/ops".parse::<Location>();
        let bad = "postgre://app:secret@db/ops".parse::<Location>();
        assert_eq!(good.is_ok(), cfg!(feature = "postgres"));
        assert!(bad.is_err());
        for shown in [format!("{good:?}"), format!("{bad:?}")] {
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_path_is_not_taken_for_one() {
        for url in [
            "sqlite:file:a.db",
            "sqlite://a.db",
            "sqlite:///a.db",
            "sqlite:a.db?mode=ro",
            "sqlite::memory:",
        ] {
            assert!(url.parse::<Location>().is_err(), "{url}");
        }
        for path in ["a.db", "./a b.db", "/tmp/a:b.db", "profile:x.db"] {
            let location = format!("sqlite:{path}").parse();
            assert_eq!(location, Ok(Location::Sqlite(path.into())));
        }
    }
}
