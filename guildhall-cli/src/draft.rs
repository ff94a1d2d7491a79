//! What to record, from JSON or flags: a fact whose ids, hashes and time may be left out.
//!
//! The fields of each are the members of `data` and the flags of `guildhall record`, under shorter names.

use std::fmt;

use clap::Args;
use guildhall_core::command::{Act, Command};
use guildhall_core::{
    AccordBound, AccordId, ArtifactId, ArtifactRegistered, ArtifactRevised, CeremonyId, Cid,
    CustodyState, CustodyTransitioned, DeploymentObserved, Json, LinkHash, Outcome, Seq, StreamId,
    Tier, Timestamp, VerificationRecorded,
};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

/// A fact that is to be recorded.
pub(crate) trait Draft: Args + DeserializeOwned + fmt::Debug {
    /// The artifact or accord that it is about; none if that is new, and has no id yet.
    fn stream(&self) -> Option<StreamId>;

    /// What to record; or what is stated of it and does not fit together.
    fn into_command(self) -> Result<Command, String>;
}

#[derive(Debug, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accord {
    /// Its id; a new one unless it is given
    #[arg(long = "accord", value_name = "ID")]
    accord_id: Option<AccordId>,
    /// What people call it
    #[arg(long)]
    name: String,
    /// Its terms: a file with a JSON object; - is standard input
    #[arg(long = "terms", value_name = "FILE|-", value_parser = json_of)]
    accord_terms: Json,
    /// Who binds it
    #[arg(long = "by", value_name = "WHO")]
    bound_by: String,
    /// From when it holds; now unless it is given
    #[arg(long, value_name = "TIME")]
    #[serde(default, deserialize_with = "rfc3339")]
    effective_at: Option<Timestamp>,
}

impl Draft for Accord {
    fn stream(&self) -> Option<StreamId> {
        self.accord_id.map(Into::into)
    }

    fn into_command(self) -> Result<Command, String> {
        let Self { accord_id, name, accord_terms, bound_by, effective_at } = self;
        let accord = AccordBound::new(name, bound_by, accord_terms, or_now(effective_at));
        let accord_id = accord_id.unwrap_or(accord.accord_id);
        Ok(AccordBound { accord_id, ..accord }.into())
    }
}

#[derive(Debug, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Artifact {
    /// Its id; a new one unless it is given
    #[arg(long = "artifact", value_name = "ID")]
    artifact_id: Option<ArtifactId>,
    /// The accord that governs it
    #[arg(long = "accord", value_name = "ID")]
    accord_id: AccordId,
    /// What people call it
    #[arg(long)]
    name: String,
    /// What kind of thing it is: dns_zone, helm_values …
    #[arg(long = "type", value_name = "TYPE")]
    artifact_type: String,
    /// How critical it is: 0, the most, to 3
    #[arg(long)]
    tier: Tier,
    /// The configuration itself: a file with JSON; - is standard input
    #[arg(long, value_name = "FILE|-", value_parser = json_of)]
    content: Json,
    /// The URI of the schema that the content follows
    #[arg(long = "schema", value_name = "URI")]
    content_schema: String,
    /// The CID that the content should have; refused (CC08) if it has another
    #[arg(long)]
    cid: Option<Cid>,
}

impl Draft for Artifact {
    fn stream(&self) -> Option<StreamId> {
        self.artifact_id.map(Into::into)
    }

    fn into_command(self) -> Result<Command, String> {
        let Self { accord_id, name, artifact_type, tier, content, content_schema, .. } = self;
        let artifact =
            ArtifactRegistered::new(accord_id, artifact_type, name, tier, content, content_schema);
        let artifact_id = self.artifact_id.unwrap_or(artifact.artifact_id);
        let cid = self.cid.unwrap_or(artifact.cid);
        Ok(ArtifactRegistered { artifact_id, cid, ..artifact }.into())
    }
}

#[derive(Debug, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revision {
    /// Of which artifact
    #[arg(long = "artifact", value_name = "ID")]
    artifact_id: ArtifactId,
    /// The new configuration: a file with JSON; - is standard input
    #[arg(long, value_name = "FILE|-", value_parser = json_of)]
    content: Json,
    /// The URI of the schema that the content follows
    #[arg(long = "schema", value_name = "URI")]
    content_schema: String,
    /// The CID that the content should have
    #[arg(long)]
    cid: Option<Cid>,
    /// The CID of the content that it replaces; the present one unless it is given, and refused (CC08)
    /// where that is another
    #[arg(long = "previous", value_name = "CID")]
    previous_cid: Option<Cid>,
}

impl Draft for Revision {
    fn stream(&self) -> Option<StreamId> {
        Some(self.artifact_id.into())
    }

    fn into_command(self) -> Result<Command, String> {
        let Self { artifact_id, content, content_schema, cid, previous_cid } = self;
        let found = Cid::of(&content);
        match (cid, previous_cid) {
            (_, Some(previous)) => {
                let event = ArtifactRevised::new(artifact_id, content, content_schema, previous);
                Ok(ArtifactRevised { cid: cid.unwrap_or(found), ..event }.into())
            }
            (Some(cid), None) if cid != found => {
                Err(format!("cid is {cid}, and that of the content is {found}"))
            }
            (_, None) => Ok(Command::revise(artifact_id, content, content_schema)),
        }
    }
}

#[derive(Debug, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transition {
    /// Of which artifact
    #[arg(long = "artifact", value_name = "ID")]
    artifact_id: ArtifactId,
    /// The state it moves to: drafted, ceremony_open, ratified, rejected, deployed, suspended or
    /// retired
    #[arg(long = "to", value_name = "STATE")]
    to_state: CustodyState,
    /// The ceremony that is opened or closed; closing, the open one unless it is given
    #[arg(long = "ceremony", value_name = "ID")]
    ceremony_id: Option<CeremonyId>,
    /// Who moves it
    #[arg(long, value_name = "WHO")]
    actor: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// On what grounds
    #[arg(long, value_name = "JSON", default_value = "null")]
    #[serde(default = "Json::null")]
    evidence: Json,
    /// When; now unless it is given
    #[arg(long = "at", value_name = "TIME")]
    #[serde(default, deserialize_with = "rfc3339")]
    occurred_at: Option<Timestamp>,
    /// The content that moves; refused (CC08) if the artifact has another
    #[arg(long)]
    cid: Option<Cid>,
    #[arg(skip)]
    seq: Option<Seq>,
    #[arg(skip)]
    from_state: Option<CustodyState>,
    #[arg(skip)]
    prev_hash: Option<LinkHash>,
    #[arg(skip)]
    hash: Option<LinkHash>,
}

impl Draft for Transition {
    fn stream(&self) -> Option<StreamId> {
        Some(self.artifact_id.into())
    }

    fn into_command(self) -> Result<Command, String> {
        match self.hash {
            Some(hash) => self.into_link(hash),
            None => self.into_move(),
        }
    }
}

impl Transition {
    /// A link as it is, with its hash.
    fn into_link(self, hash: LinkHash) -> Result<Command, String> {
        let missing = |name| {
            format!("hash is given and {name} is not: give the whole link, or leave out hash")
        };
        Ok(CustodyTransitioned {
            actor: self.actor,
            artifact_id: self.artifact_id,
            ceremony_id: self.ceremony_id,
            cid: self.cid.ok_or_else(|| missing("cid"))?,
            evidence: self.evidence,
            from_state: self.from_state,
            hash,
            occurred_at: self.occurred_at.ok_or_else(|| missing("occurred_at"))?,
            prev_hash: self.prev_hash,
            reason: self.reason,
            seq: self.seq.ok_or_else(|| missing("seq"))?,
            to_state: self.to_state,
        }
        .into())
    }

    /// A move from wherever the artifact stands.
    fn into_move(self) -> Result<Command, String> {
        let stated = [
            ("seq", self.seq.is_some()),
            ("from_state", self.from_state.is_some()),
            ("prev_hash", self.prev_hash.is_some()),
        ];
        if let Some((name, _)) = stated.into_iter().find(|(_, is_stated)| *is_stated) {
            return Err(format!(
                "{name} is given and hash is not: give the whole link, or leave out {name}"
            ));
        }
        let act = Act::new(self.actor, self.reason, or_now(self.occurred_at));
        let (act, id) = (act.with_evidence(self.evidence), self.artifact_id);
        let command = match (self.ceremony_id, self.to_state) {
            (Some(ceremony), CustodyState::CeremonyOpen) => {
                Command::open_ceremony(id, ceremony, act)
            }
            (Some(ceremony), outcome) => Command::close_ceremony(id, ceremony, outcome, act),
            (None, to_state) => Command::transition(id, to_state, act),
        };
        Ok(match self.cid {
            Some(cid) => command.of_content(cid),
            None => command,
        })
    }
}

/// A transition to `ceremony_open`.
#[derive(Debug, Args)]
pub(crate) struct Opening {
    /// On which artifact
    #[arg(long = "artifact", value_name = "ID")]
    artifact_id: ArtifactId,
    /// The ceremony; a new one unless it is given
    #[arg(long = "ceremony", value_name = "ID")]
    ceremony_id: Option<CeremonyId>,
    /// Who opens it
    #[arg(long, value_name = "WHO")]
    actor: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// On what grounds
    #[arg(long, value_name = "JSON", default_value = "null")]
    evidence: Json,
    /// When; now unless it is given
    #[arg(long = "at", value_name = "TIME")]
    occurred_at: Option<Timestamp>,
    /// The content to be decided on; refused (CC08) if the artifact has another
    #[arg(long)]
    cid: Option<Cid>,
}

impl From<Opening> for Transition {
    fn from(opening: Opening) -> Self {
        let Opening { artifact_id, ceremony_id, actor, reason, evidence, occurred_at, cid } =
            opening;
        Self {
            artifact_id,
            to_state: CustodyState::CeremonyOpen,
            ceremony_id: Some(ceremony_id.unwrap_or_else(CeremonyId::new)),
            actor,
            reason,
            evidence,
            occurred_at,
            cid,
            seq: None,
            from_state: None,
            prev_hash: None,
            hash: None,
        }
    }
}

#[derive(Debug, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Observation {
    /// Of which artifact
    #[arg(long = "artifact", value_name = "ID")]
    artifact_id: ArtifactId,
    /// Where: a cluster, a device group, a name server …
    #[arg(long)]
    target: String,
    /// What should run there
    #[arg(long = "desired", value_name = "CID")]
    desired_cid: Cid,
    /// What does run there; leave it out if nothing was seen
    #[arg(long = "observed", value_name = "CID")]
    observed_cid: Option<Cid>,
    /// Anything else that was seen
    #[arg(long, value_name = "JSON", default_value = "null")]
    #[serde(default = "Json::null")]
    detail: Json,
    /// When it was seen; now unless it is given
    #[arg(long = "at", value_name = "TIME")]
    #[serde(default, deserialize_with = "rfc3339")]
    observed_at: Option<Timestamp>,
}

impl Draft for Observation {
    fn stream(&self) -> Option<StreamId> {
        Some(self.artifact_id.into())
    }

    fn into_command(self) -> Result<Command, String> {
        let Self { artifact_id, target, desired_cid, observed_cid, detail, observed_at } = self;
        let at = or_now(observed_at);
        let seen =
            DeploymentObserved::new(artifact_id, target, desired_cid, observed_cid, detail, at);
        Ok(seen.into())
    }
}

#[derive(Debug, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verification {
    /// Of which artifact
    #[arg(long = "artifact", value_name = "ID")]
    artifact_id: ArtifactId,
    /// Where it was judged; leave it out if the artifact itself was
    #[arg(long)]
    target: Option<String>,
    /// Who judged
    #[arg(long, value_name = "WHO")]
    verifier: String,
    /// What was found: passed, failed or inconclusive
    #[arg(long)]
    outcome: Outcome,
    /// On what grounds
    #[arg(long, value_name = "JSON", default_value = "null")]
    #[serde(default = "Json::null")]
    evidence: Json,
    /// When it was judged; now unless it is given
    #[arg(long = "at", value_name = "TIME")]
    #[serde(default, deserialize_with = "rfc3339")]
    verified_at: Option<Timestamp>,
}

impl Draft for Verification {
    fn stream(&self) -> Option<StreamId> {
        Some(self.artifact_id.into())
    }

    fn into_command(self) -> Result<Command, String> {
        let Self { artifact_id, target, verifier, outcome, evidence, verified_at } = self;
        let at = or_now(verified_at);
        let verdict =
            VerificationRecorded::new(artifact_id, target, verifier, outcome, evidence, at);
        Ok(verdict.into())
    }
}

fn or_now(at: Option<Timestamp>) -> Timestamp {
    at.unwrap_or_else(Timestamp::now)
}

/// A time as people write it, for what is about to be recorded in the one form.
fn rfc3339<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

/// The JSON in a file, or on standard input.
fn json_of(name: &str) -> Result<Json, String> {
    let text = if name == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(name)
    };
    let text = text.map_err(|error| error.to_string())?;
    Json::parse(&text).map_err(|error| error.to_string())
}
