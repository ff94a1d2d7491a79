//! Why the runtime stopped.

use std::sync::Arc;

use guildhall_core::{
    ApplyError, ContinuityError, Difference, HolderId, NotConsecutive, StoreError,
};
use tokio::task::JoinError;

/// What stopped the runtime, and trying again does not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The read model could not apply a batch.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The Chronicle returned entries out of order.
    #[error("the Chronicle returned entries out of order")]
    NotConsecutive(#[from] NotConsecutive),
    /// A task panicked: a bug in a store, in a read model or here.
    #[error("a task panicked")]
    Panicked(#[source] JoinError),
    /// What was rebuilt is not what the live tables hold, and [nobody
    /// accepted](crate::Settings::accept_rewritten) that: the log was rewritten, the tables were
    /// changed, or they were made under another policy or by another version. The live tables are as
    /// they were.
    #[error(
        "the rebuilt tables are not the live ones ({}): where that is as it should be, accept it",
        list(.differences, .continuity.as_ref())
    )]
    Rewritten {
        /// What differs in the rows that the live tables' entries wrote.
        differences: Vec<Difference>,
        /// Why the log does not go on from the live tables' checkpoint, where it does not.
        continuity: Option<ContinuityError>,
    },
    /// The live generation moved on each time before the rebuilt one could take its place.
    #[error(
        "the live generation moved on {rounds} times before the rebuilt one could take its place"
    )]
    Outrun {
        /// How often the swap was tried.
        rounds: u32,
    },
    /// Another projector holds the lease and does not project this read model: give all projectors of
    /// one name the same read models, or this one's projector a name of its own.
    #[error("the read model {read_model:?} is not projected by {holder:?}, who holds the lease")]
    NotProjected {
        /// The read model.
        read_model: String,
        /// Who holds the lease.
        holder: HolderId,
    },
    /// The projector has no read model of this name.
    #[error("the projector has no read model {read_model:?}")]
    NoReadModel {
        /// The name.
        read_model: String,
    },
    /// The runtime was shut down before it got there.
    #[error("the projector was shut down")]
    ShutDown,
    /// The runtime stopped, for this reason.
    #[error("the projector stopped")]
    Stopped(#[source] Arc<RuntimeError>),
}

fn list(differences: &[Difference], continuity: Option<&ContinuityError>) -> String {
    let differences = differences.iter().map(Difference::to_string);
    let all = continuity.map(ContinuityError::to_string).into_iter().chain(differences);
    all.collect::<Vec<_>>().join("; ")
}

impl RuntimeError {
    /// Whether trying again can help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Apply(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            Self::NotConsecutive(_)
            | Self::Panicked(_)
            | Self::Rewritten { .. }
            | Self::NotProjected { .. }
            | Self::NoReadModel { .. }
            | Self::Outrun { .. }
            | Self::ShutDown
            | Self::Stopped(_) => false,
        }
    }
}

impl From<ContinuityError> for RuntimeError {
    fn from(error: ContinuityError) -> Self {
        Self::Apply(error.into())
    }
}
