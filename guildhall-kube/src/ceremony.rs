//! The custom resource: what a cluster says of a ceremony.
#![expect(unreachable_pub, reason = "a derive makes structs of its own")]

use guildhall_projector::ceremony::CeremonyOutcome;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of the condition that has been true since a ceremony was opened: its last transition
/// tells when. Creating the object opens nothing.
pub const OPENED: &str = "Opened";

/// The type of the condition whose message says why a ceremony was decided as it was.
pub const DECIDED: &str = "Decided";

/// What is to be decided. It cannot be changed: what was decided would be another matter.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "substrate.guildhouse.dev",
    version = "v1alpha1",
    kind = "Ceremony",
    plural = "ceremonies",
    namespaced,
    status = "CeremonyStatus",
    derive = "PartialEq",
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase == 'Open' \
         || (has(self.status) && self.status == oldSelf.status)"
    ).message("a closed ceremony stays as it was closed"),
    doc = "A governed decision about the content of one artifact.",
    printcolumn = r#"{"name":"Artifact","type":"string","jsonPath":".spec.artifact"}"#,
    printcolumn = r#"{"name":"Requester","type":"string","jsonPath":".spec.requester"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Decided by","type":"string","jsonPath":".status.decidedBy"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"CID","type":"string","jsonPath":".spec.cid","priority":1}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".spec.reason","priority":1}"#
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("a ceremony's spec cannot be changed"))]
#[serde(rename_all = "camelCase")]
pub struct CeremonySpec {
    /// The id of the artifact that is decided about: a UUID, in lower case.
    #[schemars(
        length(equal = 36),
        regex(pattern = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    )]
    pub artifact: String,
    /// The content that is decided about: the CID of its canonical JSON (CIDv1, raw, sha2-256,
    /// base32).
    #[schemars(length(equal = 59), regex(pattern = r"^bafkrei[a-z2-7]{52}$"))]
    pub cid: String,
    /// Who asks for the decision.
    #[schemars(length(min = 1, max = 1024))]
    pub requester: String,
    /// Why.
    #[schemars(length(min = 1, max = 16384))]
    pub reason: String,
    /// The id of the accord under whose terms it is decided: a UUID, in lower case.
    #[schemars(
        length(equal = 36),
        regex(pattern = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    )]
    pub accord: String,
}

/// Where the decision stands, as the substrate has it. Once it is closed, it is final.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new(
        "!has(self.phase) || self.phase == 'Open' || (has(self.decidedBy) && has(self.decidedAt))"
    ).message("whoever closes a ceremony says who decided, and when"),
    validation = Rule::new(
        "!has(self.phase) || has(self.observedGeneration)"
    ).message("a phase is of a generation, which the status says")
)]
#[serde(rename_all = "camelCase")]
pub struct CeremonyStatus {
    /// Where it stands; without it, it has not been opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Who decided; wanted in every phase but Open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub decided_by: Option<String>,
    /// When it was decided; wanted in every phase but Open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<MicroTime>,
    /// On what grounds it was decided: any JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub evidence: Option<serde_json::Value>,
    /// The generation of the object that this status is about; wanted in every phase. A status of
    /// another generation is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions. The last transition of the one of type Opened says when the ceremony was opened;
    /// without it, that is known only to lie between the object's creation and the decision. The
    /// message of the one of type Decided says why it was decided so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Where a ceremony stands. It is opened once and closed once.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The decision is awaited.
    Open,
    /// It passed.
    Ratified,
    /// It did not pass.
    Rejected,
    /// It was called off.
    Withdrawn,
}

impl Phase {
    /// How it ended; nothing while it is open.
    pub const fn outcome(self) -> Option<CeremonyOutcome> {
        match self {
            Self::Open => None,
            Self::Ratified => Some(CeremonyOutcome::Ratified),
            Self::Rejected => Some(CeremonyOutcome::Rejected),
            Self::Withdrawn => Some(CeremonyOutcome::Withdrawn),
        }
    }
}

/// The schema of what may hold anything.
fn any(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "nullable": true, "x-kubernetes-preserve-unknown-fields": true })
}
