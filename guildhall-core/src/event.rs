//! What can happen: six kinds of event, each a struct (DESIGN section 3); and what the log says of
//! itself ([`ChronicleIndexed`]).

mod decode;
mod facts;
mod indexed;
mod kind;
pub mod upcast;
mod values;
pub mod wire;

pub use self::decode::{Decoded, decode};
pub use self::facts::{
    AccordBound, ArtifactRegistered, ArtifactRevised, CustodyTransitioned, DeploymentObserved,
    MAX_NAME_BYTES, VerificationRecorded,
};
pub use self::indexed::ChronicleIndexed;
pub use self::kind::{Event, EventKind, EventType, TYPE_PREFIX};
pub use self::values::{Outcome, Tier, TierError, artifact_type};
pub use crate::words::UnknownWord;

#[cfg(test)]
mod tests;
