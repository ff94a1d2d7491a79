//! How a store's own failures look from outside.

use std::error::Error;
use std::path::PathBuf;

use crate::cid::LeafHash;
use crate::ids::Position;
use crate::origin::Origin;

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The server restarted, the connection broke, another held the lock: try again.
    Transient,
    /// The disk is full, the file is corrupt, the schema is newer: an operator has to act.
    Permanent,
}

/// A store failed: what it was doing, whether trying again can help, and the driver's error as
/// the source.
#[derive(Debug, thiserror::Error)]
#[error("{doing} failed ({})", match .fault { Fault::Transient => "transient", Fault::Permanent => "permanent" })]
pub struct StoreError {
    /// What the store was doing, such as "reading the Chronicle".
    pub doing: &'static str,
    /// Whether trying again can help.
    pub fault: Fault,
    /// What the driver said.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl StoreError {
    /// A failure that trying again may mend.
    pub fn transient(doing: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { doing, fault: Fault::Transient, source: source.into() }
    }

    /// A failure that needs operator action.
    pub fn permanent(doing: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { doing, fault: Fault::Permanent, source: source.into() }
    }

    /// A log that is not what it was: no other try reads another one.
    pub fn log(doing: &'static str, fault: LogFault) -> Self {
        Self::permanent(doing, fault)
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        self.fault == Fault::Transient
    }

    /// What is wrong with the log itself, where that is the cause.
    ///
    /// ```
    /// use guildhall_core::{LogFault, Position, StoreError};
    ///
    /// let seen = Position::new(8192);
    /// let fault = LogFault::WentBack { seen, head: Position::new(4096) };
    /// let error = StoreError::log("appending", fault);
    /// assert!(!error.is_transient());
    /// assert!(matches!(error.log_fault(), Some(LogFault::WentBack { .. })));
    /// ```
    pub fn log_fault(&self) -> Option<&LogFault> {
        self.source.downcast_ref()
    }
}

/// The log is not what it was, or not what it says of itself: it was restored, truncated, edited or
/// replaced. Always permanent, and found with [`StoreError::log_fault`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogFault {
    /// An entry's leaf hash is not that of its fields: somebody edited it. Restore the log; nothing
    /// of this entry is projected, shown or exported.
    #[error(
        "the entry at position {position} was altered: its leaf hash is {found}, its fields hash to {expected}"
    )]
    Altered {
        /// The entry.
        position: Position,
        /// The leaf hash that is stored with it.
        found: LeafHash,
        /// The leaf hash of its fields.
        expected: LeafHash,
    },
    /// An entry that was acknowledged or read is not there any more: the log was restored from an
    /// older copy, a standby without it took over, or its tail was cut off. Restore the log whole;
    /// to go on from what is left, open it anew.
    #[error(
        "the log went back: position {seen} was acknowledged or read, now the log ends at {head}"
    )]
    WentBack {
        /// The furthest position that was acknowledged or read.
        seen: Position,
        /// Where the log ends now.
        head: Position,
    },
    /// Another entry stands where one was acknowledged or read.
    #[error(
        "the log was rewritten: the entry at position {position} had leaf hash {expected}, now {found}"
    )]
    Rewritten {
        /// The position.
        position: Position,
        /// The leaf hash that stands there now.
        found: LeafHash,
        /// The leaf hash that was acknowledged or read.
        expected: LeafHash,
    },
    /// The Chronicle has another name than before.
    #[error("the origin was {expected}, now it is {found}")]
    OriginChanged {
        /// What it is now.
        found: Origin,
        /// What it was.
        expected: Origin,
    },
    /// The entries that a Chronicle without a name holds have no leaf hash that can be checked.
    #[error("the log reaches to position {head} and has no origin")]
    NoOrigin {
        /// Where the log ends.
        head: Position,
    },
    /// The database file was removed or replaced while it was open: what was written since went
    /// nowhere. Open the file that is there now.
    #[error("{} was removed or replaced while it was open", .path.display())]
    FileReplaced {
        /// The file.
        path: PathBuf,
    },
}
