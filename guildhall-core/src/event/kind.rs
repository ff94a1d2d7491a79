//! Which kinds of event there are, and what each is called on the wire and in the tables.

use std::fmt;

use serde::Deserialize;

use super::facts::{
    AccordBound, ArtifactRegistered, ArtifactRevised, CustodyTransitioned, DeploymentObserved,
    VerificationRecorded,
};
use super::indexed::ChronicleIndexed;
use crate::ids::StreamId;
use crate::json::Json;

/// What every Guildhall event type begins with.
pub const TYPE_PREFIX: &str = "dev.guildhouse.chronicle.";

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($type:literal, $id:ident),)+) => {
        /// One fact, typed. On the wire it is a CloudEvent ([`wire`](super::wire)).
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Event {
            $($(#[$doc])* $variant($variant),)+
        }

        /// Which of the six an event is, in its newest version.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum EventKind {
            $($(#[$doc])* $variant,)+
        }

        impl EventKind {
            /// All six.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The full type name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => concat!("dev.guildhouse.chronicle.", $type)),+ }
            }

            /// The kind with this full type name.
            pub fn from_type(event_type: &str) -> Option<Self> {
                match event_type.strip_prefix(TYPE_PREFIX)? {
                    $($type => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl Event {
            /// Which of the six it is.
            pub const fn kind(&self) -> EventKind {
                match self { $(Self::$variant(_) => EventKind::$variant),+ }
            }

            /// The stream that it belongs to, which its own fields name.
            pub fn stream(&self) -> StreamId {
                match self { $(Self::$variant(event) => event.$id.into()),+ }
            }

            /// The canonical JSON of its fields: the payload of its entry. A field that JSON here
            /// cannot hold (text with U+0000, say) is found by the append, which refuses it.
            pub fn to_payload(&self) -> Json {
                let text = match self { $(Self::$variant(event) => serde_json::to_string(event)),+ };
                // Ids, texts, numbers and JSON serialise, in canonical form as they stand.
                Json::unchecked(text.unwrap_or_default())
            }

            pub(super) fn from_payload(kind: EventKind, payload: &str) -> Result<Self, serde_json::Error> {
                // Nesting is bounded by `Json`, and only by it.
                let mut deserializer = serde_json::Deserializer::from_str(payload);
                deserializer.disable_recursion_limit();
                match kind { $(EventKind::$variant => $variant::deserialize(&mut deserializer).map(Self::$variant)),+ }
            }
        }

        $(impl From<$variant> for Event {
            fn from(event: $variant) -> Self {
                Self::$variant(event)
            }
        })+
    };
}

events! {
    /// `accord.bound.v1`
    AccordBound("accord.bound.v1", accord_id),
    /// `artifact.registered.v1`
    ArtifactRegistered("artifact.registered.v1", artifact_id),
    /// `artifact.revised.v1`
    ArtifactRevised("artifact.revised.v1", artifact_id),
    /// `custody.transitioned.v1`
    CustodyTransitioned("custody.transitioned.v1", artifact_id),
    /// `deployment.observed.v1`
    DeploymentObserved("deployment.observed.v1", artifact_id),
    /// `verification.recorded.v1`
    VerificationRecorded("verification.recorded.v1", artifact_id),
}

impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// The `type` of an entry: one of the six, that of the index, or any other text, which is kept and
/// skipped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(TypeName);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum TypeName {
    Known(EventKind),
    Other(Box<str>),
}

impl EventType {
    /// The type with this full name.
    pub fn new(name: &str) -> Self {
        Self(
            EventKind::from_type(name)
                .map_or_else(|| TypeName::Other(name.into()), TypeName::Known),
        )
    }

    /// The full name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            TypeName::Known(kind) => kind.as_str(),
            TypeName::Other(name) => name,
        }
    }

    /// Whether it is what the log says of itself: [`ChronicleIndexed`].
    pub fn is_index(&self) -> bool {
        self.as_str() == ChronicleIndexed::TYPE
    }

    /// Which of the six it is, in its newest version; none for any other.
    pub const fn kind(&self) -> Option<EventKind> {
        match self.0 {
            TypeName::Known(kind) => Some(kind),
            TypeName::Other(_) => None,
        }
    }
}

impl From<EventKind> for EventType {
    fn from(kind: EventKind) -> Self {
        Self(TypeName::Known(kind))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}
