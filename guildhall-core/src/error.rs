//! How a store's own failures look from outside.

use std::error::Error;

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The server restarted, the connection broke, another held the lock: try again.
    Transient,
    /// The disk is full, the file is corrupt, the schema is newer: somebody has to act.
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

    /// A failure that somebody has to mend.
    pub fn permanent(doing: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { doing, fault: Fault::Permanent, source: source.into() }
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        self.fault == Fault::Transient
    }
}
