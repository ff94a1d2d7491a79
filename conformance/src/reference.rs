//! The reference model: what the tables must be, one entry at a time.
//!
//! It is written from DESIGN sections 3, 4 and 6 and shares no code with the fold: payloads are
//! read as plain JSON trees, canonical JSON is another library's, hashes and CIDs are put together
//! here, and every head is looked up in the rows. It is slow, and simple enough to be believed.

mod counts;
mod data;
mod hashes;

use std::collections::BTreeMap;

use guildhall_core::custody::Rule;
use guildhall_core::{
    AccordBinding, AccordId, ArtifactId, ArtifactRevision, CeremonyId, Checkpoint, Code,
    CustodyPolicy, CustodyState, CustodyTransition, DeploymentChange, DeploymentState, Entry,
    EventId, GovernedArtifact, Health, Json, OPS_DB, Origin, Position, QuarantinedEntry, Revision,
    Seq, Tables, VerificationResult,
};

use self::data::Data;
pub use self::hashes::{cid_of, leaf_hash, link_hash};

/// The moves that DESIGN section 4 permits; another policy brings its own.
const PERMITTED: [(&str, &[&str]); 7] = [
    ("drafted", &["ceremony_open", "retired"]),
    ("ceremony_open", &["ratified", "rejected", "drafted"]),
    ("ratified", &["deployed", "ceremony_open", "suspended", "retired"]),
    ("rejected", &["drafted", "retired"]),
    ("deployed", &["ceremony_open", "suspended", "retired"]),
    ("suspended", &["ceremony_open", "retired"]),
    ("retired", &[]),
];

/// The model, as it stands after some entries.
#[derive(Debug, Clone, Default)]
pub struct Reference {
    accords: BTreeMap<AccordId, AccordBinding>,
    artifacts: BTreeMap<ArtifactId, GovernedArtifact>,
    revisions: BTreeMap<(ArtifactId, Revision), ArtifactRevision>,
    transitions: BTreeMap<(ArtifactId, Seq), CustodyTransition>,
    deployments: BTreeMap<(ArtifactId, String), DeploymentState>,
    deployment_changes: Vec<DeploymentChange>,
    verifications: BTreeMap<EventId, VerificationResult>,
    quarantined: BTreeMap<Position, QuarantinedEntry>,
    checkpoint: Option<Checkpoint>,
    /// None is the standard one, which stands above.
    policy: Option<CustodyPolicy>,
}

impl Reference {
    /// The same of the tables under a policy.
    pub fn tables_under<'e>(
        policy: &CustodyPolicy,
        origin: &Origin,
        entries: impl IntoIterator<Item = &'e Entry>,
    ) -> Tables {
        let mut reference = Self { policy: Some(policy.clone()), ..Self::default() };
        for entry in entries {
            reference.apply(origin, entry);
        }
        reference.tables()
    }

    /// The tables that these entries of the Chronicle `origin` must become, the reasons of
    /// quarantine left empty.
    pub fn tables_of<'e>(origin: &Origin, entries: impl IntoIterator<Item = &'e Entry>) -> Tables {
        let mut reference = Self::default();
        for entry in entries {
            reference.apply(origin, entry);
        }
        reference.tables()
    }

    /// Applies one entry.
    pub fn apply(&mut self, origin: &Origin, entry: &Entry) {
        if let Err(code) = self.try_apply(entry) {
            self.quarantined.insert(
                entry.position,
                QuarantinedEntry {
                    position: entry.position,
                    event_id: entry.event_id,
                    stream_id: entry.stream_id,
                    event_type: entry.event_type.clone(),
                    code,
                    reason: String::new(),
                },
            );
        }
        self.checkpoint = Some(Checkpoint {
            position: entry.position,
            leaf_hash: Some(entry.leaf_hash),
            origin: Some(origin.clone()),
        });
    }

    /// The tables as they stand, the reasons of quarantine left empty.
    pub fn tables(&self) -> Tables {
        let checkpoint = self.checkpoint.iter();
        let mut deployment_changes = self.deployment_changes.clone();
        deployment_changes.sort_by_cached_key(|row| {
            (row.artifact_id, row.target.clone(), row.observed_at, row.position)
        });
        Tables {
            accord_bindings: self.accords.values().cloned().collect(),
            governed_artifacts: self.artifacts.values().cloned().collect(),
            artifact_revisions: self.revisions.values().cloned().collect(),
            custody_transitions: self.transitions.values().cloned().collect(),
            deployment_states: self.deployments.values().cloned().collect(),
            deployment_changes,
            verification_results: self.verifications.values().cloned().collect(),
            quarantined_entries: self.quarantined.values().cloned().collect(),
            row_counts: self.row_counts(),
            projector_checkpoints: checkpoint.map(|at| (OPS_DB.to_owned(), at.clone())).collect(),
        }
    }

    /// Everything that an entry says is read and judged before anything is written.
    fn try_apply(&mut self, entry: &Entry) -> Result<(), Code> {
        let Some(name) = entry.event_type.as_str().strip_prefix("dev.guildhouse.chronicle.") else {
            return Ok(());
        };
        let data = || Data::of(entry);
        match name {
            "accord.bound.v1" => self.accord_bound(&data()?, entry),
            "artifact.registered.v1" => self.artifact_registered(&data()?, entry),
            "artifact.revised.v1" => self.artifact_revised(&data()?, entry),
            "custody.transitioned.v1" => self.custody_transitioned(&data()?, entry),
            "deployment.observed.v1" => self.deployment_observed(&data()?, entry),
            "verification.recorded.v1" => self.verification_recorded(&data()?, entry),
            _ => Ok(()),
        }
    }

    fn accord_bound(&mut self, data: &Data, entry: &Entry) -> Result<(), Code> {
        let row = AccordBinding {
            id: AccordId::from_uuid(data.stream("accord_id", entry)?),
            name: data.name("name")?,
            accord_terms: data.object("accord_terms")?,
            bound_by: data.text("bound_by")?,
            effective_at: data.time("effective_at")?,
            position: entry.position,
        };
        require(!self.accords.contains_key(&row.id), Code::CC11)?;
        self.accords.insert(row.id, row);
        Ok(())
    }

    fn artifact_registered(&mut self, data: &Data, entry: &Entry) -> Result<(), Code> {
        let row = GovernedArtifact {
            id: ArtifactId::from_uuid(data.stream("artifact_id", entry)?),
            accord_binding_id: AccordId::from_uuid(data.uuid("accord_id")?),
            name: data.name("name")?,
            artifact_type: data.name("artifact_type")?,
            tier: data.tier("tier")?,
            cid: data.cid("cid")?,
            content: data.json("content")?,
            content_schema: data.text("content_schema")?,
            custody_state: None,
            custody_seq: None,
            registered_at: entry.recorded_at,
            revised_at: None,
            position: entry.position,
        };
        require(self.accords.contains_key(&row.accord_binding_id), Code::CC11)?;
        require(!self.artifacts.contains_key(&row.id), Code::CC11)?;
        require(row.cid == cid_of(data.value("content")?), Code::CC08)?;
        self.put_revision(&row, entry);
        self.artifacts.insert(row.id, row);
        Ok(())
    }

    fn artifact_revised(&mut self, data: &Data, entry: &Entry) -> Result<(), Code> {
        let id = ArtifactId::from_uuid(data.stream("artifact_id", entry)?);
        let (cid, previous_cid) = (data.cid("cid")?, data.cid("previous_cid")?);
        let (content, content_schema) = (data.json("content")?, data.text("content_schema")?);
        let artifact = self.artifacts.get_mut(&id).ok_or(Code::CC11)?;
        let state = artifact.custody_state.map(CustodyState::as_str);
        require(!matches!(state, Some("ceremony_open" | "retired")), Code::CC12)?;
        require(cid == cid_of(data.value("content")?), Code::CC08)?;
        require(previous_cid == artifact.cid, Code::CC08)?;
        artifact.cid = cid;
        artifact.content = content;
        artifact.content_schema = content_schema;
        artifact.revised_at = Some(entry.recorded_at);
        artifact.position = entry.position;
        let revised = artifact.clone();
        self.put_revision(&revised, entry);
        Ok(())
    }

    /// The content that an artifact has from this entry on: one more than it had.
    fn put_revision(&mut self, artifact: &GovernedArtifact, entry: &Entry) {
        let had = self.revisions.keys().filter(|(id, _)| *id == artifact.id).count() as u64;
        let row = ArtifactRevision {
            artifact_id: artifact.id,
            revision: Revision::try_from(had + 1).unwrap(),
            cid: artifact.cid,
            content: artifact.content.clone(),
            content_schema: artifact.content_schema.clone(),
            recorded_at: entry.recorded_at,
            position: entry.position,
        };
        self.revisions.insert((row.artifact_id, row.revision), row);
    }

    fn custody_transitioned(&mut self, data: &Data, entry: &Entry) -> Result<(), Code> {
        let link = CustodyTransition {
            artifact_id: ArtifactId::from_uuid(data.stream("artifact_id", entry)?),
            seq: data.seq("seq")?,
            from_state: data.nullable("from_state", Data::state)?,
            to_state: data.state("to_state")?,
            cid: data.cid("cid")?,
            actor: data.text("actor")?,
            reason: data.text("reason")?,
            ceremony_id: data.nullable("ceremony_id", Data::uuid)?.map(CeremonyId::from_uuid),
            evidence: data.json("evidence")?,
            occurred_at: data.time("occurred_at")?,
            prev_hash: data.nullable("prev_hash", Data::hash)?,
            hash: data.hash("hash")?,
            position: entry.position,
        };
        let artifact = self.artifacts.get(&link.artifact_id).ok_or(Code::CC11)?;
        require(link.hash == link_hash(&link), Code::CC06)?;
        let of = |seq| (link.artifact_id, seq);
        let chain: Vec<&CustodyTransition> =
            self.transitions.range(of(Seq::ZERO)..=of(Seq::MAX)).map(|(_, row)| row).collect();
        let head = chain.last();
        match head {
            None => {
                let is_genesis = link.seq.get() == 1
                    && link.from_state.is_none()
                    && link.prev_hash.is_none()
                    && link.to_state.as_str() == "drafted";
                require(is_genesis, Code::CC01)?;
            }
            Some(head) => {
                require(link.seq.get() == head.seq.get() + 1, Code::CC02)?;
                require(link.prev_hash == Some(head.hash), Code::CC05)?;
                require(link.from_state == Some(head.to_state), Code::CC03)?;
                require(link.occurred_at >= head.occurred_at, Code::CC07)?;
                require(self.is_permitted(&chain, &link), Code::CC04)?;
            }
        }
        require(link.cid == artifact.cid, Code::CC08)?;
        let left = head.filter(|head| head.to_state.as_str() == "ceremony_open");
        let names_it = match (left, link.to_state.as_str()) {
            (Some(head), _) => link.ceremony_id == head.ceremony_id,
            (None, "ceremony_open") => link.ceremony_id.is_some(),
            (None, _) => link.ceremony_id.is_none(),
        };
        require(names_it, Code::CC09)?;
        let is_ratified =
            chain.iter().any(|row| row.to_state.as_str() == "ratified" && row.cid == link.cid);
        require(link.to_state.as_str() != "deployed" || is_ratified, Code::CC10)?;

        if let Some(artifact) = self.artifacts.get_mut(&link.artifact_id) {
            artifact.custody_state = Some(link.to_state);
            artifact.custody_seq = Some(link.seq);
            artifact.position = entry.position;
        }
        self.transitions.insert((link.artifact_id, link.seq), link);
        Ok(())
    }

    /// Whether a link may follow a chain that is not empty: by the table, and by the rules of a
    /// policy, for which the opener is looked for from the newest link backwards.
    fn is_permitted(&self, chain: &[&CustodyTransition], link: &CustodyTransition) -> bool {
        let Some(policy) = &self.policy else {
            let from = link.from_state.map_or("", CustodyState::as_str);
            let to = link.to_state.as_str();
            return PERMITTED.iter().any(|(state, next)| *state == from && next.contains(&to));
        };
        let is_open = |row: &&&CustodyTransition| row.to_state.as_str() == "ceremony_open";
        let opening = chain.iter().rev().take_while(is_open).last();
        let from = link.from_state.into_iter();
        from.flat_map(|from| policy.successors(from)).any(|to| to == link.to_state)
            && policy.rules().iter().all(|rule| match rule {
                Rule::FourEyes { to } => {
                    link.to_state != *to || opening.is_none_or(|row| row.actor != link.actor)
                }
                Rule::Reserved { to, actors } => {
                    link.to_state != *to || actors.contains(&link.actor)
                }
                Rule::Evidence { to } => link.to_state != *to || link.evidence != Json::null(),
                unknown => panic!("the model does not know the rule that {unknown}"),
            })
    }

    fn deployment_observed(&mut self, data: &Data, entry: &Entry) -> Result<(), Code> {
        let artifact_id = ArtifactId::from_uuid(data.stream("artifact_id", entry)?);
        let (desired_cid, target) = (data.cid("desired_cid")?, data.name("target")?);
        let observed_cid = data.nullable("observed_cid", Data::cid)?;
        let (detail, observed_at) = (data.json("detail")?, data.time("observed_at")?);
        require(self.artifacts.contains_key(&artifact_id), Code::CC11)?;
        let health = match observed_cid {
            None => Health::Unknown,
            Some(observed_cid) if observed_cid == desired_cid => Health::Healthy,
            Some(_) => Health::Drifted,
        };
        let key = (artifact_id, target.clone());
        let before = self.deployments.get(&key);
        if before.is_some_and(|before| observed_at < before.observed_at) {
            return Ok(());
        }
        let health_since = before
            .filter(|before| before.health == health)
            .map_or(observed_at, |before| before.health_since);
        let row = DeploymentState {
            artifact_id,
            target,
            desired_cid,
            observed_cid,
            health,
            health_since,
            detail,
            observed_at,
            position: entry.position,
        };
        let says = |row: &DeploymentState| (row.health, row.desired_cid, row.observed_cid);
        if before.map(says) != Some(says(&row)) {
            self.deployment_changes.push(DeploymentChange {
                artifact_id,
                target: row.target.clone(),
                observed_at,
                desired_cid,
                observed_cid,
                previous_health: before.map(|before| before.health),
                health,
                health_since,
                position: entry.position,
            });
        }
        self.deployments.insert(key, row);
        Ok(())
    }

    fn verification_recorded(&mut self, data: &Data, entry: &Entry) -> Result<(), Code> {
        let row = VerificationResult {
            id: entry.event_id,
            artifact_id: ArtifactId::from_uuid(data.stream("artifact_id", entry)?),
            target: data.nullable("target", Data::text)?,
            verifier: data.text("verifier")?,
            outcome: data.outcome("outcome")?,
            evidence: data.json("evidence")?,
            verified_at: data.time("verified_at")?,
            position: entry.position,
        };
        require(self.artifacts.contains_key(&row.artifact_id), Code::CC11)?;
        self.verifications.insert(row.id, row);
        Ok(())
    }
}

fn require(holds: bool, code: Code) -> Result<(), Code> {
    if holds { Ok(()) } else { Err(code) }
}
