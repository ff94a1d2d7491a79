//! From an object as the API server sends it to what happened in its ceremony.
//!
//! An object is read field by field out of its own text, so that one which cannot be read says what
//! is wrong with it and keeps no other from being read.

use std::time::Duration;

use guildhall_core::command::Act;
use guildhall_core::{AccordId, ArtifactId, CeremonyId, Cid, Json, JsonError, Timestamp};
use guildhall_projector::ceremony::{CeremonyOutcome, CeremonyReport, Step};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ceremony::{CeremonySpec, DECIDED, OPENED, Phase};

/// What an object says.
#[derive(Debug)]
pub(crate) struct Reading {
    /// What names it for ever: its namespace, its name and its UID.
    pub(crate) identity: String,
    /// Its ceremony, as far as its UID can be read.
    pub(crate) ceremony_id: Option<CeremonyId>,
    /// The version that it was read in.
    pub(crate) resource_version: Option<String>,
    /// What happened.
    pub(crate) says: Says,
}

/// What happened in a ceremony.
#[derive(Debug)]
pub(crate) enum Says {
    /// Nothing yet: there is no status, or one of an older generation.
    Nothing,
    /// It was opened, and perhaps closed.
    Happened(Box<Happened>),
    /// The object cannot be read.
    Unreadable { artifact_id: Option<ArtifactId>, reason: String },
}

/// A ceremony that was opened, and perhaps closed.
#[derive(Debug)]
pub(crate) struct Happened {
    pub(crate) identity: String,
    pub(crate) ceremony_id: CeremonyId,
    pub(crate) artifact_id: ArtifactId,
    pub(crate) cid: Cid,
    pub(crate) opened: Act,
    pub(crate) closed: Option<(CeremonyOutcome, Act)>,
}

impl Happened {
    /// Its opening, as a feed reports it.
    pub(crate) fn opening(&self) -> CeremonyReport {
        self.heard(Step::Opened, self.opened.clone())
    }

    /// Its closing, if it is closed.
    pub(crate) fn closing(&self) -> Option<CeremonyReport> {
        let (outcome, act) = self.closed.clone()?;
        Some(self.heard(Step::Closed(outcome), act))
    }

    fn heard(&self, step: Step, act: Act) -> CeremonyReport {
        let Self { artifact_id, ceremony_id, cid, .. } = *self;
        let identity = self.identity.clone();
        CeremonyReport { identity, artifact_id, ceremony_id, cid: Some(cid), step, act }
    }

    /// Where its object is.
    pub(crate) fn namespace(&self) -> &str {
        self.identity.split('/').next().unwrap_or_default()
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let of = |act: &Act| act.actor.len() + act.reason.len() + act.evidence.as_str().len();
        let acts = of(&self.opened) + self.closed.as_ref().map_or(0, |(_, act)| of(act));
        size_of::<Self>() + self.identity.len() + acts
    }
}

#[derive(Deserialize)]
struct Object<'t> {
    metadata: Metadata,
    #[serde(borrow)]
    spec: Option<&'t RawValue>,
    #[serde(borrow)]
    status: Option<&'t RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: Option<String>,
    uid: String,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    managed_fields: Option<Vec<Managed>>,
}

/// Who wrote which fields, and when the API server took that in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Managed {
    time: Option<String>,
    fields_v1: Option<Fields>,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "f:status")]
    status: Option<serde::de::IgnoredAny>,
}

impl Metadata {
    /// When a status was last taken in, as far as the object says: what it states was so by then.
    fn status_taken_in_at(&self) -> Option<Timestamp> {
        let of_status = |it: &&Managed| it.fields_v1.as_ref().is_some_and(|it| it.status.is_some());
        let written = self.managed_fields.iter().flatten().filter(of_status);
        written.filter_map(|it| Timestamp::from_rfc3339(it.time.as_deref()?).ok()).max()
    }
}

/// A status as it was written: the evidence stays the text that it came as, so that nothing in it is
/// merged or rounded before it is judged.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status<'t> {
    phase: Option<Phase>,
    decided_by: Option<String>,
    decided_at: Option<MicroTime>,
    #[serde(borrow)]
    evidence: Option<&'t RawValue>,
    observed_generation: Option<i64>,
    #[serde(default)]
    conditions: Vec<Condition>,
}

impl Status<'_> {
    /// Its condition of this type, if that is true.
    fn condition(&self, is_type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|it| it.type_ == is_type && it.status == "True")
    }
}

/// Reads an object of the cluster of this name, if it has one.
pub(crate) fn read(object: &RawValue, cluster: Option<&str>) -> Reading {
    let object: Object<'_> = match serde_json::from_str(object.get()) {
        Ok(object) => object,
        Err(error) => {
            let reason = format!("the object's metadata cannot be read: {error}");
            let says = Says::Unreadable { artifact_id: None, reason };
            let identity = "an object without a name".to_owned();
            return Reading { identity, ceremony_id: None, resource_version: None, says };
        }
    };
    let Metadata { name, namespace, uid, .. } = &object.metadata;
    let identity = format!("{}/{name}/{uid}", namespace.as_deref().unwrap_or_default());
    let ceremony_id: Option<CeremonyId> = uid.parse().ok();
    let mut artifact_id = None;
    let says = match happened(&object, cluster, &identity, ceremony_id, &mut artifact_id) {
        Ok(Some(happened)) => Says::Happened(Box::new(happened)),
        Ok(None) => Says::Nothing,
        Err(reason) => Says::Unreadable { artifact_id, reason },
    };
    let resource_version = object.metadata.resource_version;
    Reading { identity, ceremony_id, resource_version, says }
}

/// What happened; nothing if nothing that can be believed did; an error says what makes it
/// unreadable.
fn happened(
    object: &Object<'_>,
    cluster: Option<&str>,
    identity: &str,
    ceremony_id: Option<CeremonyId>,
    artifact: &mut Option<ArtifactId>,
) -> Result<Option<Happened>, String> {
    let metadata = &object.metadata;
    let spec: CeremonySpec = part("spec", object.spec)?;
    let artifact_id: ArtifactId = field("spec.artifact", &spec.artifact)?;
    *artifact = Some(artifact_id);
    let cid: Cid = field("spec.cid", &spec.cid)?;
    let accord_id: AccordId = field("spec.accord", &spec.accord)?;
    let ceremony_id =
        ceremony_id.ok_or_else(|| format!("the UID {:?} is not a UUID", metadata.uid))?;
    if object.status.is_none_or(|status| status.get() == "null") {
        return Ok(None);
    }
    let status: Status<'_> = part("status", object.status)?;
    let Some(phase) = status.phase else { return Ok(None) };
    let generation = metadata.generation.unwrap_or_default();
    // To mark an object as being deleted makes a generation of its own, in which nothing is decided.
    let current = generation - i64::from(metadata.deletion_timestamp.is_some());
    match status.observed_generation {
        Some(observed) if observed < current => return Ok(None),
        Some(observed) if observed > generation => {
            return Err(format!(
                "status.observedGeneration is {observed}, and the object's generation {generation}"
            ));
        }
        Some(_) => {}
        None => return Err("status.observedGeneration is missing".to_owned()),
    }
    let created = metadata.creation_timestamp.as_deref();
    let created = created.ok_or("metadata.creationTimestamp is missing")?;
    let created = Timestamp::from_rfc3339(created)
        .map_err(|error| format!("metadata.creationTimestamp: {error}"))?;
    keepable("spec.requester", &spec.requester)?;
    keepable("spec.reason", &spec.reason)?;
    let mut grounds = serde_json::json!({
        "accord": accord_id,
        "object": { "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid },
    });
    if let Some(cluster) = cluster {
        grounds["cluster"] = cluster.into();
    }
    let told = opened_at(&status)?;
    let closed = match phase.outcome() {
        None => None,
        Some(outcome) => Some((outcome, decision(&status, outcome)?)),
    };
    let opened = |at| Act::new(&spec.requester, &spec.reason, at).clock_resolution(unit(at));
    let opened = match (told, &closed) {
        (Some(told), _) => opened(told),
        (None, Some((_, act))) => some_time_until(act, opened(created.min(act.occurred_at))),
        (None, None) => {
            let opened = opened(created);
            let latest = metadata.status_taken_in_at();
            latest.map_or(opened.clone(), |latest| opened.at_the_latest(latest))
        }
    };
    let opened = opened.with_evidence(json("the opening", &grounds.to_string())?);
    let identity = identity.to_owned();
    Ok(Some(Happened { identity, ceremony_id, artifact_id, cid, opened, closed }))
}

/// When it was opened, if the status says.
fn opened_at(status: &Status<'_>) -> Result<Option<Timestamp>, String> {
    let told = status.condition(OPENED);
    let told = told.map(|it| Timestamp::from_micros(it.last_transition_time.0.as_microsecond()));
    told.transpose().map_err(|error| format!("the condition {OPENED}: {error}"))
}

/// An opening of which nothing says the time: not after it was decided, by the clock that dates that.
fn some_time_until(decided: &Act, opened: Act) -> Act {
    opened.clock_resolution(decided.clock_resolution).at_the_latest(decided.occurred_at)
}

/// Who decided, when, why and on what grounds.
fn decision(status: &Status<'_>, outcome: CeremonyOutcome) -> Result<Act, String> {
    let missing = |name: &str| format!("it is {outcome}, and status.{name} is missing");
    let by = status.decided_by.as_deref().filter(|by| !by.is_empty());
    let by = by.ok_or_else(|| missing("decidedBy"))?;
    let at = status.decided_at.as_ref().ok_or_else(|| missing("decidedAt"))?;
    let at = Timestamp::from_micros(at.0.as_microsecond())
        .map_err(|error| format!("status.decidedAt: {error}"))?;
    let told = status.condition(DECIDED).map(|condition| condition.message.as_str());
    let reason = told.filter(|message| !message.is_empty()).unwrap_or(outcome.as_str());
    keepable("status.decidedBy", by)?;
    keepable("the message of the condition Decided", reason)?;
    let evidence = json("status.evidence", status.evidence.map_or("null", RawValue::get))?;
    Ok(Act::new(by, reason, at).with_evidence(evidence).clock_resolution(unit(at)))
}

/// The unit of the clock that gave this time: Kubernetes' own times are whole seconds.
fn unit(at: Timestamp) -> Duration {
    let is_whole = at.as_micros() % 1_000_000 == 0;
    if is_whole { Duration::from_secs(1) } else { Duration::ZERO }
}

fn part<'t, T: Deserialize<'t>>(name: &str, text: Option<&'t RawValue>) -> Result<T, String> {
    let text = text.ok_or_else(|| format!("{name} is missing"))?;
    serde_json::from_str(text.get()).map_err(|error| format!("{name}: {error}"))
}

fn field<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &str,
) -> Result<T, String> {
    text.parse().map_err(|error| format!("{name}: {error}"))
}

/// Whether the Chronicle can keep a text: one with U+0000 or a noncharacter it cannot.
fn keepable(name: &str, text: &str) -> Result<(), String> {
    let code_point = match Json::parse(&serde_json::Value::from(text).to_string()) {
        Ok(_) => return Ok(()),
        Err(JsonError::Nul { .. }) => 0,
        Err(JsonError::Noncharacter { code_point, .. }) => code_point,
        Err(error) => return Err(format!("{name}: {error}")),
    };
    Err(format!("{name} holds the character U+{code_point:04X}, which no entry can hold"))
}

fn json(name: &str, text: &str) -> Result<Json, String> {
    Json::parse(text).map_err(|error| format!("{name}: {error}"))
}
