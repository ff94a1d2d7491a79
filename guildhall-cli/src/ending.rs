//! How a program ends: on a signal, and with which message.

use std::process::ExitCode;

use anyhow::{Context as _, Error, Result};
use guildhall_core::text::escape_for_terminal;

use crate::progress::say;
use crate::target::OutputClosed;

/// Receives the request to end: Ctrl-C, or SIGTERM, which service managers and containers send. From
/// the first [`listen`](Self::listen) on, neither ends the process by itself.
#[derive(Debug)]
pub struct Ending {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Ending {
    /// Listens from now on.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(unix)]
    pub fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Listens from now on.
    ///
    /// # Errors
    /// None here.
    #[cfg(not(unix))]
    pub fn listen() -> Result<Self> {
        Ok(Self {})
    }

    /// Waits for a request to end; called again, for the next one.
    ///
    /// # Cancel safety
    /// No request is lost.
    pub async fn asked(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }

    /// What comes of this work, or an error that it was interrupted.
    ///
    /// # Errors
    /// The work's own, or that it was not waited for.
    pub async fn or_ends<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            () = self.asked() => {
                Err(Error::msg("interrupted; what was done stays, and the next run goes on there"))
            }
        }
    }

    /// Closes a store at the end of the work, however that went.
    ///
    /// # Errors
    /// The work's own, or else the store's.
    pub async fn closed<T>(
        &mut self,
        closing: impl Future<Output = Result<()>>,
        outcome: Result<T>,
    ) -> Result<T> {
        let closed = tokio::select! {
            closed = closing => closed,
            () = self.asked() => Err(Error::msg(
                "interrupted again: the database was not closed, so keep the files beside it",
            )),
        };
        match (outcome, closed) {
            (outcome, Ok(())) => outcome,
            (Ok(_), Err(error)) => Err(error),
            (Err(error), Err(another)) => {
                // What the projector failed with, it is closed with too.
                let another = message(&another);
                if another != message(&error) {
                    say(&another);
                }
                Err(error)
            }
        }
    }
}

/// Reports what went wrong, as one message, and returns the exit code. A reader of standard output that
/// closes it early is not a failure.
pub fn conclude(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if OutputClosed::is_in(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {}", message(&error)));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes on one line, each once: a cause whose end has been said already is left
/// out. Drivers repeat their causes' messages in their own.
pub fn message(error: &Error) -> String {
    let mut whole = String::new();
    for cause in error.chain() {
        let text = text(cause);
        if whole.is_empty() {
            whole = text;
        } else if !whole.contains(text.rsplit(": ").next().unwrap_or(&text)) {
            whole += ": ";
            whole += &text;
        }
    }
    let lines: Vec<_> = whole.lines().map(str::trim).collect();
    escape_for_terminal(&lines.join(" ")).into_owned()
}

/// The message of one error. A server also names the line of its source code that raised it, which is
/// of no use here.
fn text(cause: &(dyn std::error::Error + 'static)) -> String {
    #[cfg(feature = "postgres")]
    {
        use guildhall::postgres::sqlx;
        let by_driver =
            cause.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        let found = by_driver.or_else(|| {
            let found = cause.downcast_ref::<Box<dyn sqlx::error::DatabaseError>>();
            found.map(AsRef::as_ref)
        });
        if let Some(found) = found {
            return found.message().to_owned();
        }
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once_and_on_one_line() {
        let error =
            Error::msg("no such file").context("opening: no such file").context("importing");
        assert_eq!(message(&error), "importing: opening: no such file");
        let error = Error::msg("Error code 14: no such file").context("no such file: a.db");
        assert_eq!(message(&error), "no such file: a.db");
        let error = Error::msg("line 1\n  line 2\u{1b}[2J\u{202e}");
        assert_eq!(message(&error), "line 1 line 2\\u{1b}[2J\\u{202e}");
    }
}
