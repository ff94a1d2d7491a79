//! How the example ends: asked to from outside, and with its database closed.

use anyhow::{Context as _, Error, Result};
use guildhall_core::text::escape_for_terminal;
use guildhall_store_sqlite::{CloseError, SqliteStore};

/// Hears that the program is to end: by Ctrl-C, or by SIGTERM, which service managers and
/// containers send. From the first [`listen`](Self::listen) on neither ends the process by itself.
pub(crate) struct Ending {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Ending {
    /// Listens from now on.
    #[cfg(unix)]
    pub(crate) fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Listens from now on.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {})
    }

    /// Waits until it is to end; again, for the next time that somebody says so.
    pub(crate) async fn asked(&mut self) {
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

    /// What comes of this work, or nothing if it was to end before.
    pub(crate) async fn or_ends<T>(
        &mut self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<Option<T>> {
        tokio::select! {
            done = work => done.map(Some),
            () = self.asked() => Ok(None),
        }
    }

    /// Closes the store at the end of the work, however that went, so that its file stands alone.
    /// Where another process has it open, it says what stays beside the file.
    pub(crate) async fn closed(&mut self, store: &SqliteStore, outcome: Result<()>) -> Result<()> {
        let closed = tokio::select! {
            closed = store.close() => closed,
            () = self.asked() => return outcome.and(Err(Error::msg(
                "interrupted again: the database was not closed, so keep the files beside it",
            ))),
        };
        match closed {
            Err(busy @ CloseError::InUse { .. }) => {
                eprintln!("{}", escape_for_terminal(&busy.to_string()));
                outcome
            }
            closed => outcome.and(closed.map_err(Error::from)),
        }
    }
}
