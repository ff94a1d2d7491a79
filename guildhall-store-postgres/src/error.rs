//! Why a store does not open, and which of PostgreSQL's errors may pass.
//!
//! The driver's messages name hosts, users, tables and keys; they never contain the password.

use std::io;
use std::time::Duration;

use guildhall_core::store::Family;
use guildhall_core::{Fault, StoreError};
use sqlx::postgres::PgDatabaseError;

use crate::schema::SchemaFault;

/// What `jsonb` takes of any JSON, in bytes of its text: an array of 16,777,216 elements, which have
/// two each at least. Its other limit, 268,435,455 bytes of its own form, is farther: those are six
/// times the text at most, for numbers of one digit.
pub(crate) const MOST_PAYLOAD_BYTES: usize = 32 << 20;

/// Why a store was not opened. In every case the database is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The text is not a URL of a PostgreSQL database: correct it. It is not shown, as it may contain a
    /// password.
    #[error("the database URL cannot be read: {reason}")]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// The URL, or `PGSSLMODE`, asks for TLS, which this program was built without: turn on the feature
    /// `tls` of `guildhall-store-postgres` (or of `guildhall`), or ask for no TLS.
    #[error(
        "the database URL asks for TLS ({mode}), which this program was built without: turn on the feature \"tls\""
    )]
    NoTls {
        /// What it asks for: `sslmode=require`, `verify-ca` or `verify-full`.
        mode: &'static str,
    },
    /// The text cannot be the name of a schema: choose another.
    #[error(
        "{found:?} cannot name a schema: 1 to 48 bytes, no control character, no $, not pg_ at the start"
    )]
    BadSchema {
        /// The text, cut to 64 characters.
        found: String,
    },
    /// The schema holds tables that Guildhall did not make: choose another.
    #[error("the schema {schema:?} belongs to another program: it holds {relation:?}")]
    OtherProgram {
        /// The schema.
        schema: String,
        /// One of the relations in it.
        relation: String,
    },
    /// A newer Guildhall made the tables: use that version.
    #[error(
        "the schema {schema:?} has migration {found} of the {family} tables, this version knows {known}"
    )]
    NewerSchema {
        /// The schema.
        schema: String,
        /// Which tables.
        family: Family,
        /// The newest migration that the schema has.
        found: u32,
        /// The newest migration that this version knows.
        known: u32,
    },
    /// The tables are an older Guildhall's, or do not exist, and a store opened for reading does not
    /// migrate them: open it for writing once.
    #[error(
        "the schema {schema:?} has migration {found} of the {family} tables, reading needs {known}: open it once for writing"
    )]
    OlderSchema {
        /// The schema.
        schema: String,
        /// Which tables.
        family: Family,
        /// The newest migration that the schema has; 0 where it has none of them.
        found: u32,
        /// The newest migration that this version knows.
        known: u32,
    },
    /// Somebody changed the tables, their keys, triggers or functions, or revoked rights: drop what is
    /// foreign, recreate what is missing or altered as the files in this crate's `migrations/` do, and
    /// grant as `roles.sql` does.
    #[error("the schema {schema:?} is not as its migrations made it: {}", join(.faults))]
    AlteredSchema {
        /// The schema.
        schema: String,
        /// Each difference.
        faults: Vec<SchemaFault>,
    },
    /// The server is older than PostgreSQL 14: upgrade it.
    #[error("the server is PostgreSQL {found}, Guildhall needs 14 or newer")]
    OldServer {
        /// The server's version, in its own words.
        found: String,
    },
    /// The database's encoding is not UTF-8: create one with `ENCODING 'UTF8'`.
    #[error("the database has the encoding {found}, Guildhall needs UTF8")]
    OtherEncoding {
        /// The encoding's name in PostgreSQL.
        found: String,
    },
    /// The pool allows fewer connections than the three that a store needs: raise its limit.
    #[error("the pool opens {found} connections at most, Guildhall needs 3")]
    SmallPool {
        /// How many it opens at most.
        found: u32,
    },
    /// Payloads may be longer than `jsonb` is certain to take: lower
    /// [`payload_limit_bytes`](crate::PostgresOptions::payload_limit_bytes).
    #[error("payloads of {found} bytes may not fit into jsonb, the limit is {MOST_PAYLOAD_BYTES}")]
    LongPayloads {
        /// How many bytes they may have.
        found: usize,
    },
    /// PostgreSQL failed otherwise; a transient fault is worth another try.
    #[error("the database cannot be opened")]
    Store(#[from] StoreError),
}

impl OpenError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(source) if source.is_transient())
    }
}

fn join(faults: &[SchemaFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Says what the store was doing when PostgreSQL failed.
pub(crate) trait Doing<T> {
    /// The error as a [`StoreError`] of the right fault.
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| StoreError { doing, fault: fault(&error), source: error.into() })
    }
}

/// Whether trying again can help against an error of the driver.
pub(crate) fn fault(error: &sqlx::Error) -> Fault {
    match error {
        // What came is not what was agreed on: above all, TLS does not trust the certificate.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Fault::Permanent,
        // The connection broke, no server answered or every connection is in use. A protocol error
        // is what an answer cut off in the middle looks like.
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed
        | sqlx::Error::Protocol(_) => Fault::Transient,
        // A pooler in between, PgBouncer, does not pass on what the driver asks for when it connects.
        // Most of what it refuses has this one code, and much of that may pass.
        sqlx::Error::Database(error)
            if error.code().is_some_and(|code| code == "08P01")
                && error.message().contains("startup parameter") =>
        {
            Fault::Permanent
        }
        // A transaction that may write, or any other setting that a standby refuses before it takes over.
        sqlx::Error::Database(error)
            if error.code().is_some_and(|code| code == "0A000")
                && error
                    .try_downcast_ref::<PgDatabaseError>()
                    .is_some_and(|error| error.routine() == Some("call_bool_check_hook")) =>
        {
            Fault::Transient
        }
        sqlx::Error::Database(error) => {
            error.code().map_or(Fault::Permanent, |code| sqlstate(&code))
        }
        // Settings, types and values stay what they are, and so does a pool that was closed.
        _ => Fault::Permanent,
    }
}

/// Whether trying again can help against a SQLSTATE (PostgreSQL's documentation, appendix A).
fn sqlstate(code: &str) -> Fault {
    match code {
        // A full disk needs operator action, and so does a database that was dropped.
        "53100" | "57P04" => Fault::Permanent,
        // Another transaction was in the way, a time-out cut this one off, a standby was asked
        // before it took over, the disk failed to read.
        "25006" | "25P03" | "25P04" | "55006" | "55P03" | "58030" => Fault::Transient,
        // Connection exceptions; rolled back for serialization or a deadlock; out of memory or
        // connections; cancelled, shutting down, starting up.
        _ if ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)) => {
            Fault::Transient
        }
        _ => Fault::Permanent,
    }
}

/// Whether the statement failed with this SQLSTATE.
pub(crate) fn has_sqlstate(error: &sqlx::Error, state: &str) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| code == state)
}

/// The task that owns the connection is gone: it panicked, or the runtime that the store was opened on
/// ended.
#[derive(Debug, thiserror::Error)]
#[error("the task that owns the connection gave no answer")]
pub(crate) struct NoAnswer;

/// The store was opened for reading.
#[derive(Debug, thiserror::Error)]
#[error("the store was opened for reading only")]
pub(crate) struct ReadOnly;

/// The server did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("the server gave no answer within {0:?}")]
pub(crate) struct Silent(pub(crate) Duration);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_transient() {
        for code in
            ["08006", "08P01", "40001", "40P01", "53300", "57014", "57P01", "57P03", "25P03"]
        {
            assert_eq!(sqlstate(code), Fault::Transient, "{code}");
        }
        for code in ["23505", "28P01", "3D000", "42501", "42P01", "53100", "57P04", "XX001"] {
            assert_eq!(sqlstate(code), Fault::Permanent, "{code}");
        }
    }
}
