//! What can happen: six kinds of event, each a struct (DESIGN section 3).
//!
//! Fields are declared in alphabetical order, so that serialising a struct gives its canonical
//! JSON (RFC 8785) as it stands; a property test holds that.

pub mod upcast;
pub mod wire;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cid::{Cid, LinkHash};
use crate::custody::{self, ChainHead, CustodyState, Move};
use crate::ids::{AccordId, ArtifactId, CeremonyId, Seq, StreamId};
use crate::invariant::Violation;
use crate::json::Json;
use crate::time::Timestamp;

/// What every Guildhall event type begins with.
pub const TYPE_PREFIX: &str = "dev.guildhouse.chronicle.";

/// The well-known values of `artifact_type`, which is an open string.
pub mod artifact_type {
    /// A device configuration profile of Microsoft Intune.
    pub const INTUNE_PROFILE: &str = "intune_profile";
    /// A DNS zone.
    pub const DNS_ZONE: &str = "dns_zone";
    /// A compiled PowerShell Desired State Configuration.
    pub const DSC_MOF: &str = "dsc_mof";
    /// A network device's configuration, modelled in YANG.
    pub const YANG_CONFIG: &str = "yang_config";
    /// The values of a Helm release.
    pub const HELM_VALUES: &str = "helm_values";
    /// A role capability of PowerShell Just Enough Administration.
    pub const JEA_ROLE: &str = "jea_role";
    /// A Conditional Access policy of Microsoft Entra.
    pub const CONDITIONAL_ACCESS: &str = "conditional_access";
    /// A TLS certificate.
    pub const TLS_CERTIFICATE: &str = "tls_certificate";
    /// A container image, by its OCI manifest.
    pub const OCI_IMAGE: &str = "oci_image";

    /// All of them.
    pub const WELL_KNOWN: [&str; 9] = [
        INTUNE_PROFILE,
        DNS_ZONE,
        DSC_MOF,
        YANG_CONFIG,
        HELM_VALUES,
        JEA_ROLE,
        CONDITIONAL_ACCESS,
        TLS_CERTIFICATE,
        OCI_IMAGE,
    ];
}

/// How critical an artifact is: 0 (the most) to 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Tier(u8);

/// A number that is no tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tier {found} is not 0, 1, 2 or 3")]
pub struct TierError {
    /// The number.
    pub found: u8,
}

impl Tier {
    /// Tier 0, the most critical.
    pub const ZERO: Self = Self(0);
    /// Tier 1.
    pub const ONE: Self = Self(1);
    /// Tier 2.
    pub const TWO: Self = Self(2);
    /// Tier 3, the least critical.
    pub const THREE: Self = Self(3);
    /// All four, the most critical first.
    pub const ALL: [Self; 4] = [Self::ZERO, Self::ONE, Self::TWO, Self::THREE];

    /// The tier of this number.
    ///
    /// # Errors
    /// [`TierError`] where it is not 0, 1, 2 or 3.
    pub const fn new(number: u8) -> Result<Self, TierError> {
        if number <= 3 { Ok(Self(number)) } else { Err(TierError { found: number }) }
    }

    /// The number, 0 to 3.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Tier {
    type Error = TierError;

    fn try_from(number: u8) -> Result<Self, TierError> {
        Self::new(number)
    }
}

impl FromStr for Tier {
    type Err = UnknownWord;

    /// Reads what [`Display`](fmt::Display) writes: one digit.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Ok(match text {
            "0" => Self::ZERO,
            "1" => Self::ONE,
            "2" => Self::TWO,
            "3" => Self::THREE,
            _ => {
                return Err(UnknownWord {
                    what: "tier",
                    found: text.chars().take(64).collect(),
                    choices: &["0", "1", "2", "3"],
                });
            }
        })
    }
}

impl From<Tier> for u8 {
    fn from(tier: Tier) -> Self {
        tier.0
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Declares an enum whose variants have one text each, in JSON, in SQL and on pages.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text that JSON and the tables hold.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::event::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::event::UnknownWord {
                        what: $what,
                        found: text.chars().take(64).collect(),
                        choices: &[$($text),+],
                    }),
                }
            }
        }
    };
}
pub(crate) use words;

/// A text that is none of the words that may stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {what}: {}", .choices.join(", "))]
pub struct UnknownWord {
    /// What was expected, such as "custody state".
    pub what: &'static str,
    /// The text, cut to 64 characters.
    pub found: String,
    /// The words that there are.
    pub choices: &'static [&'static str],
}

words!(
    /// What a verification found.
    Outcome, "outcome" {
        /// What runs is what it should be.
        Passed = "passed",
        /// It is not.
        Failed = "failed",
        /// The verifier could not tell.
        Inconclusive = "inconclusive",
    }
);

/// An accord came into force: the terms that its artifacts are governed under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccordBound {
    /// The accord.
    pub accord_id: AccordId,
    /// Its terms: a JSON object.
    #[serde(deserialize_with = "object")]
    pub accord_terms: Json,
    /// Who bound it.
    pub bound_by: String,
    /// From when its terms hold.
    pub effective_at: Timestamp,
    /// What people call it.
    #[serde(deserialize_with = "name")]
    pub name: String,
}

impl AccordBound {
    /// The binding of a new accord, under a fresh id. `accord_terms` is a JSON object; other terms
    /// are refused when they are recorded (`CC00`).
    pub fn new(
        name: impl Into<String>,
        bound_by: impl Into<String>,
        accord_terms: Json,
        effective_at: Timestamp,
    ) -> Self {
        Self {
            accord_id: AccordId::new(),
            accord_terms,
            bound_by: bound_by.into(),
            effective_at,
            name: name.into(),
        }
    }
}

/// An artifact came under governance, with its first content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRegistered {
    /// The accord that governs it.
    pub accord_id: AccordId,
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// What kind of thing it is; well-known ones are in [`artifact_type`].
    #[serde(deserialize_with = "name")]
    pub artifact_type: String,
    /// The CID of `content`.
    pub cid: Cid,
    /// The configuration itself.
    pub content: Json,
    /// The URI of the schema that `content` follows.
    pub content_schema: String,
    /// What people call it.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// How critical it is.
    pub tier: Tier,
}

impl ArtifactRegistered {
    /// The registration of a new artifact, under a fresh id and with its content's CID.
    pub fn new(
        accord_id: AccordId,
        artifact_type: impl Into<String>,
        name: impl Into<String>,
        tier: Tier,
        content: Json,
        content_schema: impl Into<String>,
    ) -> Self {
        Self {
            accord_id,
            artifact_id: ArtifactId::new(),
            artifact_type: artifact_type.into(),
            cid: Cid::of(&content),
            content,
            content_schema: content_schema.into(),
            name: name.into(),
            tier,
        }
    }
}

/// An artifact's content was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRevised {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// The CID of `content`.
    pub cid: Cid,
    /// The new configuration.
    pub content: Json,
    /// The URI of the schema that `content` follows.
    pub content_schema: String,
    /// The CID of the content that it replaces.
    pub previous_cid: Cid,
}

impl ArtifactRevised {
    /// The revision to this content, with its CID. [`Command::revise`] fills in `previous_cid`.
    ///
    /// [`Command::revise`]: crate::command::Command::revise
    pub fn new(
        artifact_id: ArtifactId,
        content: Json,
        content_schema: impl Into<String>,
        previous_cid: Cid,
    ) -> Self {
        Self {
            artifact_id,
            cid: Cid::of(&content),
            content,
            content_schema: content_schema.into(),
            previous_cid,
        }
    }
}

/// Custody of an artifact moved: one link of its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustodyTransitioned {
    /// Who moved it.
    pub actor: String,
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// The ceremony entered or left; none outside one.
    pub ceremony_id: Option<CeremonyId>,
    /// The content that moved.
    pub cid: Cid,
    /// What the actor put forward.
    pub evidence: Json,
    /// The state before; none at genesis.
    pub from_state: Option<CustodyState>,
    /// The hash over the other eleven fields ([`custody::link_hash`]).
    pub hash: LinkHash,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The hash of the link before; none at genesis.
    pub prev_hash: Option<LinkHash>,
    /// Why.
    pub reason: String,
    /// Where the link stands in its chain.
    pub seq: Seq,
    /// The state after.
    pub to_state: CustodyState,
}

impl CustodyTransitioned {
    /// The link that the move makes on a chain, as [`custody::link`] does. A recorder makes it from
    /// a [`Command`], and finds the chain itself.
    ///
    /// [`Command`]: crate::command::Command
    pub fn new(artifact_id: ArtifactId, cid: Cid, head: Option<&ChainHead>, wanted: Move) -> Self {
        custody::link(artifact_id, cid, head, wanted)
    }
}

/// Somebody looked at what runs on a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentObserved {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// What should run there.
    pub desired_cid: Cid,
    /// What the observer saw besides.
    pub detail: Json,
    /// When it was seen.
    pub observed_at: Timestamp,
    /// What does run there; none where nothing was seen.
    pub observed_cid: Option<Cid>,
    /// Where: a cluster, a device group, a name server …
    #[serde(deserialize_with = "name")]
    pub target: String,
}

impl DeploymentObserved {
    /// What was seen on a target: `observed_cid` where something runs there. `detail` may be
    /// [`Json::null`].
    pub fn new(
        artifact_id: ArtifactId,
        target: impl Into<String>,
        desired_cid: Cid,
        observed_cid: Option<Cid>,
        detail: Json,
        observed_at: Timestamp,
    ) -> Self {
        let target = target.into();
        Self { artifact_id, desired_cid, detail, observed_at, observed_cid, target }
    }
}

/// A verifier judged an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationRecorded {
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// What the verifier bases its outcome on.
    pub evidence: Json,
    /// What it found.
    pub outcome: Outcome,
    /// Where; none when it is about the artifact itself.
    pub target: Option<String>,
    /// When it was judged.
    pub verified_at: Timestamp,
    /// Who judged.
    pub verifier: String,
}

impl VerificationRecorded {
    /// A verdict on an artifact, or on what runs on one `target`. `evidence` may be [`Json::null`].
    pub fn new(
        artifact_id: ArtifactId,
        target: Option<String>,
        verifier: impl Into<String>,
        outcome: Outcome,
        evidence: Json,
        verified_at: Timestamp,
    ) -> Self {
        let verifier = verifier.into();
        Self { artifact_id, evidence, outcome, target, verified_at, verifier }
    }
}

/// How long the name of an accord or artifact, an artifact's type and the target of a deployment
/// may be, in bytes of UTF-8. They are keys: a database keeps them in its indexes, and a B-tree has
/// a limit. A longer one does not decode (`CC00`).
pub const MAX_NAME_BYTES: usize = 1024;

fn name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() <= MAX_NAME_BYTES {
        Ok(text)
    } else {
        let length = text.len();
        Err(serde::de::Error::custom(format_args!(
            "a name, type or target of {length} bytes, where {MAX_NAME_BYTES} are the most"
        )))
    }
}

fn object<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
    let json = Json::deserialize(deserializer)?;
    if json.is_object() {
        Ok(json)
    } else {
        Err(serde::de::Error::custom("accord_terms is not a JSON object"))
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($type:literal, $id:ident),)+) => {
        /// One fact, typed. On the wire it is a CloudEvent ([`wire`]).
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

            fn from_payload(kind: EventKind, payload: &str) -> Result<Self, serde_json::Error> {
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

/// The `type` of an entry: one of the six, or any other text, which is kept and skipped.
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

/// What a stored type and payload mean.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every entry is an event; a box would cost each"
)]
pub enum Decoded {
    /// One of the six, brought to its newest version.
    Event(Event),
    /// A type that this version does not know: kept, skipped, counted.
    Unknown,
}

/// Reads a stored payload: upcasts an older version, decodes the fields and checks that the stream
/// is the one that they name.
///
/// # Errors
/// [`Violation::Undecodable`] and [`Violation::WrongStream`], both `CC00`.
pub fn decode(
    event_type: &EventType,
    stream: StreamId,
    payload: &str,
) -> Result<Decoded, Violation> {
    decode_through(upcast::STEPS, event_type, stream, payload)
}

/// The same of a payload that was made canonical just now.
fn decode_canonical(
    event_type: &EventType,
    stream: StreamId,
    payload: &str,
) -> Result<Decoded, Violation> {
    decode_checked(upcast::STEPS, event_type, stream, payload)
}

fn decode_through(
    steps: &[upcast::Step],
    event_type: &EventType,
    stream: StreamId,
    payload: &str,
) -> Result<Decoded, Violation> {
    if event_type.kind().is_some() {
        crate::json::check_canonical(payload)
            .map_err(|error| Violation::Undecodable { reason: error.to_string() })?;
    }
    decode_checked(steps, event_type, stream, payload)
}

fn decode_checked(
    steps: &[upcast::Step],
    event_type: &EventType,
    stream: StreamId,
    payload: &str,
) -> Result<Decoded, Violation> {
    let undecodable = |reason: String| Violation::Undecodable { reason };
    let event = match event_type.kind() {
        Some(kind) => {
            Event::from_payload(kind, payload).map_err(|error| undecodable(error.to_string()))?
        }
        None => match upcast::upcast(steps, event_type.as_str(), payload) {
            None => return Ok(Decoded::Unknown),
            Some(upcast) => {
                let (kind, payload) = upcast.map_err(undecodable)?;
                Event::from_payload(kind, payload.as_str())
                    .map_err(|error| undecodable(error.to_string()))?
            }
        },
    };
    match event.stream() {
        named if named == stream => Ok(Decoded::Event(event)),
        named => Err(Violation::WrongStream { found: stream, expected: named }),
    }
}

#[cfg(test)]
mod tests;
