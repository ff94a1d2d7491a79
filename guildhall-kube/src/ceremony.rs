//! The custom resource: what a cluster says of a ceremony.
#![expect(unreachable_pub, reason = "a derive makes structs of its own")]

use guildhall_projector::ceremony::CeremonyOutcome;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The type of the condition that has been true since a ceremony was opened: its last transition
/// says when. Creating the object opens nothing.
pub const OPENED: &str = "Opened";

/// The type of the condition whose message says why a ceremony was decided as it was.
pub const DECIDED: &str = "Decided";

/// The finalizer with which the substrate keeps a ceremony's object until its outcome is recorded;
/// `finalizer/` says how, and has what it needs. The watcher neither sets nor removes it.
pub const FINALIZER: &str = "substrate.guildhouse.dev/unrecorded";

/// Texts that the Chronicle can keep: without U+0000 and the noncharacters of Unicode, as an API
/// server writes patterns (RE2).
const KEEPABLE: &str = concat!(
    r"^[^\x{0}\x{FDD0}-\x{FDEF}\x{FFFE}\x{FFFF}\x{1FFFE}\x{1FFFF}\x{2FFFE}\x{2FFFF}\x{3FFFE}\x{3FFFF}",
    r"\x{4FFFE}\x{4FFFF}\x{5FFFE}\x{5FFFF}\x{6FFFE}\x{6FFFF}\x{7FFFE}\x{7FFFF}\x{8FFFE}\x{8FFFF}",
    r"\x{9FFFE}\x{9FFFF}\x{AFFFE}\x{AFFFF}\x{BFFFE}\x{BFFFF}\x{CFFFE}\x{CFFFF}\x{DFFFE}\x{DFFFF}",
    r"\x{EFFFE}\x{EFFFF}\x{FFFFE}\x{FFFFF}\x{10FFFE}\x{10FFFF}]*$",
);

/// What is to be decided. It cannot be changed: what was decided would be another matter.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "substrate.guildhouse.dev",
    version = "v1alpha1",
    kind = "Ceremony",
    plural = "ceremonies",
    namespaced,
    shortname = "cer",
    category = "guildhall",
    status = "CeremonyStatus",
    derive = "PartialEq",
    schema = "manual",
    doc = "A governed decision about the content of one artifact.",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Artifact","type":"string","jsonPath":".spec.artifact"}"#,
    printcolumn = r#"{"name":"Decided","type":"date","jsonPath":".status.decidedAt"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"CID","type":"string","jsonPath":".spec.cid","priority":1}"#,
    printcolumn = r#"{"name":"Requester","type":"string","jsonPath":".spec.requester","priority":1}"#,
    printcolumn = r#"{"name":"Decided by","type":"string","jsonPath":".status.decidedBy","priority":1}"#,
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
    #[schemars(length(min = 1, max = 1024), regex(pattern = KEEPABLE))]
    pub requester: String,
    /// Why.
    #[schemars(length(min = 1, max = 16384), regex(pattern = KEEPABLE))]
    pub reason: String,
    /// The id of the accord under whose terms it is decided: a UUID, in lower case.
    #[schemars(
        length(equal = 36),
        regex(pattern = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    )]
    pub accord: String,
}

/// What is enforced of the object as a whole: here, a status that is taken away is seen; and as a
/// whole, since no rule can name the evidence. Where `decidedAt` is mended, every other field is
/// named, and the evidence alone is not held.
const FINAL: (&str, &str) = (
    "!has(oldSelf.status) || !has(oldSelf.status.phase) || oldSelf.status.phase == 'Open' \
     || (has(self.status) && (self.status == oldSelf.status \
     || (has(self.status.phase) && self.status.phase == oldSelf.status.phase \
     && has(self.status.decidedBy) && self.status.decidedBy == oldSelf.status.decidedBy \
     && has(self.status.decidedAt) && self.status.decidedAt < oldSelf.status.decidedAt \
     && has(self.status.observedGeneration) \
     && self.status.observedGeneration == oldSelf.status.observedGeneration \
     && has(self.status.conditions) == has(oldSelf.status.conditions) \
     && (!has(self.status.conditions) || self.status.conditions == oldSelf.status.conditions))))",
    "a closed ceremony cannot change, except that decidedAt may be corrected to an earlier time",
);

/// By hand, since the derived one lets the status be null.
impl JsonSchema for Ceremony {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ceremony".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (rule, message) = FINAL;
        schemars::json_schema!({
            "description": "A governed decision about the content of one artifact.",
            "type": "object",
            "properties": {
                "spec": generator.subschema_for::<CeremonySpec>(),
                "status": generator.subschema_for::<CeremonyStatus>(),
            },
            "required": ["spec"],
            "x-kubernetes-validations": [{ "rule": rule, "message": message }],
        })
    }
}

/// Where the decision stands, as the substrate has it. Once it is closed, it is final.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new(
        "!has(self.phase) || self.phase == 'Open' || (has(self.decidedBy) && has(self.decidedAt))"
    ).message("a closed ceremony needs decidedBy and decidedAt"),
    validation = Rule::new(
        "!has(self.phase) || has(self.observedGeneration)"
    ).message("a status with a phase needs observedGeneration")
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = without_null)]
pub struct CeremonyStatus {
    /// Where it stands; without it, it has not been opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Who decided; wanted in every phase but Open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = KEEPABLE))]
    pub decided_by: Option<String>,
    /// When it was decided; wanted in every phase but Open. A time in the future is not recorded
    /// until it is mended, which this field alone can be, to an earlier time; the evidence is not
    /// held then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<MicroTime>,
    /// On what grounds it was decided: any JSON. Once the ceremony is closed, it must not change; but no
    /// validation rule can name it, so an update that corrects decidedAt could change it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any")]
    pub evidence: Option<Value>,
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

/// What may be left out is not null as well: of a field that may be, an API server publishes neither
/// type nor fields, so that `kubectl explain` has nothing to show.
fn without_null(schema: &mut schemars::Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        if let Some(kinds) = property.get_mut("anyOf").and_then(Value::as_array_mut)
            && let Some(kind) = kinds.iter().position(|kind| kind["type"] != "null")
            && let Value::Object(mut kind) = kinds.swap_remove(kind)
        {
            property.remove("anyOf");
            // What is said of the field goes before what is said of its type.
            kind.append(property);
            *property = kind;
        }
        if let Some(kinds) = property.get_mut("type").and_then(Value::as_array_mut) {
            kinds.retain(|kind| kind != "null");
            if let [kind] = &kinds[..] {
                let kind = kind.clone();
                property.insert("type".to_owned(), kind);
            }
        }
        if let Some(words) = property.get_mut("enum").and_then(Value::as_array_mut) {
            words.retain(|word| !word.is_null());
        }
    }
}

/// The schema of what may hold anything.
fn any(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "nullable": true, "x-kubernetes-preserve-unknown-fields": true })
}
