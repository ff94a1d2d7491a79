//! How far a scope was followed, and why one is not.

use guildhall_core::command::RecordError;

use crate::error::WatchError;
use crate::wire::Scope;

/// After so many failures in a row, the version that was watched from is not trusted any more.
const MOST_FAILURES: u32 = 3;

/// How far one scope was followed.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) scope: Scope,
    /// Watch after this version; list first where there is none.
    pub(crate) resource_version: Option<String>,
    /// The version is a list's, and no watch has come any further since.
    pub(crate) is_listed: bool,
    /// How often it failed since a watch came any further.
    pub(crate) failures: u32,
}

impl Place {
    pub(crate) fn new(scope: Scope) -> Self {
        Self { scope, resource_version: None, is_listed: false, failures: 0 }
    }

    /// A watch has reported all up to this version.
    pub(crate) fn reached(&mut self, version: Option<String>) {
        if version.is_some() && version != self.resource_version {
            (self.resource_version, self.is_listed, self.failures) = (version, false, 0);
        }
    }

    /// The version is gone: it has to be listed anew. If it came from the very list before, that
    /// would go on for ever without a pause.
    pub(crate) fn gone(&mut self, error: WatchError) -> Result<(), WatchError> {
        self.resource_version = None;
        if std::mem::take(&mut self.is_listed) { Err(error) } else { Ok(()) }
    }

    /// It failed. What follows its version may never be reported: a new list gets past that.
    pub(crate) fn failed(&mut self, error: &WatchError) {
        self.failures = self.failures.saturating_add(1);
        if error.may_be_the_versions() && self.failures.is_multiple_of(MOST_FAILURES) {
            self.resource_version = None;
        }
    }
}

/// Why a scope is not followed.
pub(crate) enum Failure {
    /// Others may be.
    Scope(WatchError),
    /// What is received is not recorded, wherever it comes from.
    Chronicle(RecordError),
}

impl From<WatchError> for Failure {
    fn from(error: WatchError) -> Self {
        Self::Scope(error)
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        Self::Chronicle(error)
    }
}
