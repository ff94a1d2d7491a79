//! How an error is reported, what to do about it, and the exit code that it ends with.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Error;
use guildhall::GuildError;
use guildhall_core::command::RecordError;
use guildhall_core::jsonl::ImportError;
use guildhall_core::{AppendError, ApplyError, AsOfError, Code, LogFault, StoreError};
use guildhall_projector::RuntimeError;

use crate::ending::message;
use crate::output::Style;
use crate::target::OutputClosed;

/// What a command found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is done, or what was checked holds: exit code 0.
    Holds,
    /// What was checked does not hold, and the output says why: exit code 1.
    DoesNotHold,
    /// Whether what was asked holds cannot be determined, and the output says why: exit code 3.
    CannotTell,
}

/// An error of the program's own, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Problem {
    what: String,
    next: String,
    is_usage: bool,
}

impl Problem {
    /// The arguments do not make sense: exit code 2.
    pub fn usage(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into(), is_usage: true }
    }

    /// Something failed: exit code 1, or 3 of a command that checks.
    pub fn failed(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { what: what.into(), next: next.into(), is_usage: false }
    }
}

/// Reports what went wrong, once, with what to do next, and returns the exit code. A reader of standard
/// output that closes it early is not a failure, and nothing is said of it.
pub(crate) fn conclude(
    outcome: anyhow::Result<Verdict>,
    is_check: bool,
    logs_json: bool,
) -> ExitCode {
    match outcome {
        Ok(Verdict::Holds) => ExitCode::SUCCESS,
        Ok(Verdict::DoesNotHold) => ExitCode::from(1),
        Ok(Verdict::CannotTell) => ExitCode::from(3),
        // What a check found is not known from an output that was not read: that it holds is not said.
        Err(error) if OutputClosed::is_in(&error) => ExitCode::from(if is_check { 3 } else { 0 }),
        Err(error) if logs_json => {
            tracing::error!(error = message(&error), help = next(&error), "ended");
            ExitCode::from(exit_code(&error, is_check))
        }
        Err(error) => {
            let style = Style::of_stderr();
            let _ = writeln!(
                std::io::stderr(),
                "{}: {}\n{}: {}",
                style.bad("error"),
                message(&error),
                style.strong("help"),
                next(&error)
            );
            ExitCode::from(exit_code(&error, is_check))
        }
    }
}

fn exit_code(error: &Error, is_check: bool) -> u8 {
    match find::<Problem>(error) {
        Some(problem) if problem.is_usage => 2,
        _ if is_check => 3,
        _ => 1,
    }
}

fn find<E: std::error::Error + 'static>(error: &Error) -> Option<&E> {
    error.chain().find_map(|cause| cause.downcast_ref::<E>())
}

/// Whether trying again can help, as the store says that failed.
pub(crate) fn may_pass(error: &Error) -> bool {
    find::<StoreError>(error).is_some_and(StoreError::is_transient)
}

/// What to do about an error, by what it is.
pub(crate) fn next(error: &Error) -> String {
    const DOCTOR: &str =
        "run `guildhall doctor` with the same --database, which says what is wrong";
    if let Some(problem) = find::<Problem>(error) {
        return problem.next.clone();
    }
    if let Some(next) = find::<GuildError>(error).and_then(of_guild) {
        return next;
    }
    #[cfg(feature = "proof")]
    if let Some(next) = find(error).and_then(of_key_file) {
        return next;
    }
    #[cfg(feature = "proof")]
    if let Some(next) = find(error).and_then(of_sealer) {
        return next.to_owned();
    }
    #[cfg(feature = "witness")]
    if let Some(next) = find(error).and_then(of_witness_state) {
        return next.to_owned();
    }
    if let Some(next) = find::<RecordError>(error).and_then(of_record) {
        return next.to_owned();
    }
    if let Some(error) = find::<ImportError>(error) {
        return of_import(error).to_owned();
    }
    if let Some(error) = find::<RuntimeError>(error).and_then(of_runtime) {
        return error.to_owned();
    }
    if let Some(fault) = find::<StoreError>(error).and_then(StoreError::log_fault) {
        return of_log(fault).to_owned();
    }
    if let Some(error) = find::<AsOfError>(error).and_then(of_moment) {
        return error.to_owned();
    }
    if let Some(error) = find::<StoreError>(error) {
        let next = if error.is_transient() {
            "this may pass: check that the database can be reached, then try again"
        } else {
            DOCTOR
        };
        return next.to_owned();
    }
    if let Some(io) = find::<std::io::Error>(error) {
        return of_io(io.kind()).to_owned();
    }
    DOCTOR.to_owned()
}

fn of_moment(error: &AsOfError) -> Option<&'static str> {
    match error {
        AsOfError::NotYet { .. } => {
            Some("name a position that the tables have; `guildhall status` says it")
        }
        AsOfError::Before { .. } => Some("bring in all of the history with `guildhall rebuild`"),
        _ => None,
    }
}

fn of_io(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind;
    match kind {
        ErrorKind::NotFound => "check the path",
        ErrorKind::PermissionDenied => {
            "run it as a user with permission, or change the permissions"
        }
        ErrorKind::AddrInUse => "choose another port, or stop the program that listens there",
        ErrorKind::AddrNotAvailable => "choose an address of this machine, such as 127.0.0.1",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on the disk, then try again"
        }
        ErrorKind::ReadOnlyFilesystem => "choose a writable place",
        _ => "see the system's message, then try again",
    }
}

/// What to do where a database does not open or close.
pub(crate) fn of_guild(error: &GuildError) -> Option<String> {
    match error {
        GuildError::BadUrl { .. } => Some("correct the URL".to_owned()),
        GuildError::NotBuilt { feature, .. } => {
            Some(format!("build the program with --features {feature}"))
        }
        #[cfg(feature = "sqlite")]
        GuildError::Sqlite(error) => of_sqlite(error),
        #[cfg(feature = "postgres")]
        GuildError::Postgres(error) => of_postgres(error),
        _ => None,
    }
}

#[cfg(feature = "sqlite")]
fn of_sqlite(error: &guildhall::sqlite::OpenError) -> Option<String> {
    use guildhall::sqlite::OpenError;
    let next = match error {
        OpenError::NotSqlite { .. } | OpenError::OtherProgram { .. } => {
            "name another file with --database sqlite:PATH; this one was left as it is"
        }
        OpenError::NewerSchema { .. } => {
            "use the version of guildhall that made the tables, or a newer one"
        }
        OpenError::OlderSchema { .. } => "bring the tables up to date with `guildhall migrate`",
        OpenError::AlteredSchema { .. } => {
            "drop what is foreign, and recreate what is missing or altered as the migrations do"
        }
        OpenError::NotAPath { .. } => {
            "write --database sqlite:PATH, with ./ before an unusual name"
        }
        OpenError::LogUnreadable { .. } => {
            "copy the file and the one beside it that ends in -wal to a writable folder"
        }
        OpenError::Corrupt { .. } => {
            "restore the file from a backup, and keep this one for the investigation"
        }
        OpenError::NoWriteAheadLog { .. } => "put the file on a local disk",
        OpenError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            "check the path; `guildhall migrate` makes a new database"
        }
        OpenError::Io { source, .. } => of_io(source.kind()),
        _ => return None,
    };
    Some(next.to_owned())
}

#[cfg(feature = "postgres")]
fn of_postgres(error: &guildhall::postgres::OpenError) -> Option<String> {
    use guildhall::postgres::OpenError;
    let next = match error {
        OpenError::BadUrl { .. } => {
            "write postgres://USER@HOST/DATABASE, and escape characters that have a meaning in URLs (%3F for ?)"
        }
        OpenError::NoTls { .. } => "build the program with --features tls, or ask for no TLS",
        OpenError::BadSchema { .. } | OpenError::OtherProgram { .. } => {
            "name another database; this one was left as it is"
        }
        OpenError::NewerSchema { .. } => {
            "use the version of guildhall that made the tables, or a newer one"
        }
        OpenError::OlderSchema { .. } => {
            "make the tables with `guildhall migrate`, as a role that may create them"
        }
        OpenError::AlteredSchema { .. } => {
            "drop what is foreign, recreate what is missing as the migrations do, grant as roles.sql does"
        }
        OpenError::OldServer { .. } => "upgrade the server",
        OpenError::OtherEncoding { .. } => "create a database with ENCODING 'UTF8'",
        OpenError::Store(error) if error.is_transient() => {
            "check that the server runs and can be reached, then try again"
        }
        OpenError::Store(_) => "check the user, password, database and rights",
        _ => return None,
    };
    Some(next.to_owned())
}

/// What to do about a key that is not read or made.
#[cfg(feature = "proof")]
fn of_key_file(error: &guildhall_projector::proof::key_file::KeyFileError) -> Option<String> {
    use guildhall_projector::proof::key_file::KeyFileError;
    let next = match error {
        KeyFileError::Exists { .. } => {
            "name a file that does not exist, or show this one with `guildhall key show`"
        }
        KeyFileError::Open { path, .. } => {
            let path = path.display();
            return Some(format!(
                "others may have read it: make another key, or, if nobody can have, run `chmod 600 {path}`"
            ));
        }
        KeyFileError::Foreign { .. } => {
            "run this as the key's owner, or make a key with `guildhall key new` as this user"
        }
        KeyFileError::NotAFile { .. }
        | KeyFileError::TooLong { .. }
        | KeyFileError::NotAKey { .. } => {
            "check the path; `guildhall key new NAME --out FILE` makes a key"
        }
        KeyFileError::OtherType { .. } => {
            "make a log's key with `guildhall key new`, and a witness's with --witness"
        }
        KeyFileError::Read { source, .. } | KeyFileError::Write { source, .. } => {
            of_io(source.kind())
        }
        _ => return None,
    };
    Some(next.to_owned())
}

/// What to do about a witness's state that is not taken up.
#[cfg(feature = "witness")]
fn of_witness_state(error: &guildhall::witness::StateError) -> Option<&'static str> {
    use guildhall::witness::StateError;
    Some(match error {
        StateError::InUse { .. } => {
            "stop the other one, or give this one a key and a state of its own"
        }
        StateError::NotAState { .. } => "name a folder that is empty or not there",
        StateError::OtherKey { .. } => "give each key a state of its own, which begins empty",
        StateError::Torn { .. } | StateError::OtherLog { .. } | StateError::NotOurs { .. } => {
            "find out who changed it; with this state lost, retire the key and begin with a new one"
        }
        StateError::Io { source, .. } => of_io(source.kind()),
        _ => return None,
    })
}

/// What to do about a log that is not sealed.
#[cfg(feature = "proof")]
fn of_sealer(error: &guildhall_projector::proof::SealerError) -> Option<&'static str> {
    use guildhall_projector::proof::{SealedLogError, SealerError, SinkError};
    Some(match error {
        SealerError::Stopped(error) => return of_sealer(error),
        SealerError::SinkHoldsMore { .. } | SealerError::SinkHoldsOther { .. } => {
            "do not throw away what the sink holds: it shows that the log was changed; restore the log whole, \
             and find out who changed it"
        }
        SealerError::Log(SealedLogError::Differs { .. } | SealedLogError::Ends { .. })
        | SealerError::Changed(_)
        | SealerError::Version { .. } => "restore the log whole, and find out who changed it",
        SealerError::Sink { source: SinkError::Contradicts { .. }, .. } => {
            "do not throw away what the witness shows: it proves that the log was changed; restore the log \
             whole, and find out who changed it"
        }
        SealerError::Sink { .. } => {
            "nothing is sealed before it says what it holds, which may be more than this log has; check that \
             it can be reached, or seal without it by leaving it out"
        }
        SealerError::SinkOfOther { .. } => "give each log a folder of its own",
        SealerError::LastSealRefused { .. } | SealerError::KeyMayNotSeal { .. } => {
            "after a rotation, name the keys of before and their sizes with --keys; otherwise seal with the \
             key that sealed before"
        }
        SealerError::Keys(_) => "make a log's key with `guildhall key new`, without --witness",
        SealerError::KeysOfOther { .. } => "name the keys of this log",
        SealerError::Standby { .. } => {
            "one sealer is enough; where it was killed, its lease lapses within seconds"
        }
        SealerError::Panicked(_) => {
            "that is a bug: please report it, with the output of `guildhall doctor`"
        }
        _ => return None,
    })
}

/// What to do about an event that is not recorded.
fn of_record(error: &RecordError) -> Option<&'static str> {
    Some(match error {
        RecordError::Refused { violation } => match violation.code() {
            Code::CC11 => "check the id; what an event is about has to be recorded first",
            Code::CC04 => {
                "see where it stands with `guildhall artifact show`, and move it from there"
            }
            Code::CC09 => "name the ceremony that is opened, or that is open",
            Code::CC07 => "leave out the time, or correct it",
            Code::CC08 => "leave out the CID, or look at the artifact's present content again",
            Code::CC10 => "have this content ratified first",
            _ => "nothing was recorded: correct the event",
        },
        RecordError::InFuture(_) => "correct its time, or the clock of this machine",
        RecordError::Append(AppendError::Conflict { .. }) => {
            "others keep writing to the same stream: try again"
        }
        RecordError::Append(AppendError::IdReused { .. }) => "give it an event id of its own",
        RecordError::Append(_) => "nothing was recorded: correct the event",
        _ => return None,
    })
}

fn of_import(error: &ImportError) -> &'static str {
    match error {
        ImportError::Line { .. } | ImportError::Refused { .. } => {
            "correct the line and import the file again: the lines before it are recorded and stay"
        }
        ImportError::Store(error) if !error.is_transient() => {
            error.log_fault().map_or("run `guildhall doctor` with the same --database", of_log)
        }
        _ => "import it again: what is recorded is kept, and only what is missing is appended",
    }
}

fn of_runtime(error: &RuntimeError) -> Option<&'static str> {
    Some(match error {
        RuntimeError::Stopped(error) => return of_runtime(error),
        RuntimeError::Apply(ApplyError::Continuity(_)) => {
            "restore the whole log; or, if it is as it should be, `guildhall rebuild --accept-rewritten`"
        }
        RuntimeError::Apply(ApplyError::Halted { .. }) => {
            "have the entry explained; without --halt-on-violation it goes to quarantine"
        }
        RuntimeError::Apply(ApplyError::Disagrees { .. }) => {
            "rebuild the tables with `guildhall rebuild`"
        }
        RuntimeError::Rewritten { .. } => {
            "find out who changed the log or the tables; if that is as it should be, add --accept-rewritten"
        }
        RuntimeError::Outrun { .. } => "rebuild again while less is being recorded",
        RuntimeError::Panicked(_) => {
            "this is a bug: please report it, with the output of `guildhall doctor`"
        }
        RuntimeError::NotProjected { .. } => {
            "give all projectors of one database the same read models"
        }
        _ => return None,
    })
}

fn of_log(fault: &LogFault) -> &'static str {
    match fault {
        LogFault::Altered { .. } | LogFault::Rewritten { .. } | LogFault::WentBack { .. } => {
            "restore the whole log, and find out who changed it"
        }
        LogFault::FileReplaced { .. } => "run the command again on the file that is there now",
        _ => "find out what replaced the log",
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn concluded(error: impl Into<Error>) -> ExitCode {
        conclude(Err(error.into()), false, false)
    }

    #[test]
    fn a_connection_that_breaks_is_an_error_and_not_the_end_of_a_reader() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(concluded(StoreError::transient("reading", broken())), ExitCode::from(1));
        assert_eq!(concluded(Error::new(broken()).context("exporting")), ExitCode::from(1));
        #[cfg(feature = "postgres")]
        {
            let driver = guildhall::postgres::sqlx::Error::Io(broken());
            assert_eq!(concluded(StoreError::transient("reading", driver)), ExitCode::from(1));
        }
    }
}
