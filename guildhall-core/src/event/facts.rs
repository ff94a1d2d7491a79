//! What is recorded: a struct for each kind of event, in its newest version.
//!
//! Fields are declared in alphabetical order, so that serialising a struct gives its canonical
//! JSON (RFC 8785) as it stands; a property test holds that.

use serde::{Deserialize, Serialize};

use super::values::{Outcome, Tier};
use crate::cid::{Cid, LinkHash};
use crate::custody::CustodyState;
use crate::ids::{AccordId, ArtifactId, CeremonyId, Seq};
use crate::json::Json;
use crate::time::Timestamp;

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
    /// What kind of thing it is; well-known ones are in [`artifact_type`](super::artifact_type).
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
    /// The hash over the other eleven fields ([`link_hash`](crate::custody::link_hash)).
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
