//! The six events as somebody who builds on one of the peers would declare them.

use chrono::{DateTime, Utc};
use disintegrate::Event as _;
use guildhall_core::{EventKind, NewEntry};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// An event of the peers, who both store it as serde writes it. Neither of them lets its caller
/// choose an event's id or its time, so the events that need them for a row hold them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, disintegrate::Event)]
pub(crate) enum Event {
    AccordBound(AccordBound),
    ArtifactRegistered(ArtifactRegistered),
    ArtifactRevised(ArtifactRevised),
    CustodyTransitioned(CustodyTransitioned),
    DeploymentObserved(DeploymentObserved),
    VerificationRecorded(VerificationRecorded),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, disintegrate::Event)]
pub(crate) struct AccordBound {
    #[id]
    pub(crate) accord_id: Uuid,
    pub(crate) accord_terms: Value,
    pub(crate) bound_by: String,
    pub(crate) effective_at: DateTime<Utc>,
    pub(crate) name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, disintegrate::Event)]
pub(crate) struct ArtifactRegistered {
    pub(crate) accord_id: Uuid,
    #[id]
    pub(crate) artifact_id: Uuid,
    pub(crate) artifact_type: String,
    pub(crate) cid: String,
    pub(crate) content: Value,
    pub(crate) content_schema: String,
    pub(crate) name: String,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) tier: i16,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, disintegrate::Event)]
pub(crate) struct ArtifactRevised {
    #[id]
    pub(crate) artifact_id: Uuid,
    pub(crate) cid: String,
    pub(crate) content: Value,
    pub(crate) content_schema: String,
    pub(crate) previous_cid: String,
    pub(crate) recorded_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, disintegrate::Event)]
pub(crate) struct CustodyTransitioned {
    pub(crate) actor: String,
    #[id]
    pub(crate) artifact_id: Uuid,
    pub(crate) ceremony_id: Option<Uuid>,
    pub(crate) cid: String,
    pub(crate) evidence: Value,
    pub(crate) from_state: Option<String>,
    pub(crate) hash: String,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) prev_hash: Option<String>,
    pub(crate) reason: String,
    pub(crate) seq: i64,
    pub(crate) to_state: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, disintegrate::Event)]
pub(crate) struct DeploymentObserved {
    #[id]
    pub(crate) artifact_id: Uuid,
    pub(crate) desired_cid: String,
    pub(crate) detail: Value,
    pub(crate) observed_at: DateTime<Utc>,
    pub(crate) observed_cid: Option<String>,
    pub(crate) target: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, disintegrate::Event)]
pub(crate) struct VerificationRecorded {
    #[id]
    pub(crate) artifact_id: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) evidence: Value,
    pub(crate) outcome: String,
    pub(crate) target: Option<String>,
    pub(crate) verified_at: DateTime<Utc>,
    pub(crate) verifier: String,
}

impl TryFrom<&NewEntry> for Event {
    type Error = anyhow::Error;

    fn try_from(entry: &NewEntry) -> anyhow::Result<Self> {
        let mut data = entry.payload.to_value();
        if let Value::Object(fields) = &mut data {
            fields.insert("event_id".to_owned(), entry.event_id.to_string().into());
            let recorded_at = entry.recorded_at.map(|at| at.to_string());
            fields.insert("recorded_at".to_owned(), recorded_at.into());
        }
        let kind = entry.event_type.kind();
        Ok(match kind.ok_or_else(|| anyhow::anyhow!("{:?} is not an event", entry.event_type))? {
            EventKind::AccordBound => Self::AccordBound(serde_json::from_value(data)?),
            EventKind::ArtifactRegistered => {
                Self::ArtifactRegistered(serde_json::from_value(data)?)
            }
            EventKind::ArtifactRevised => Self::ArtifactRevised(serde_json::from_value(data)?),
            EventKind::CustodyTransitioned => {
                Self::CustodyTransitioned(serde_json::from_value(data)?)
            }
            EventKind::DeploymentObserved => {
                Self::DeploymentObserved(serde_json::from_value(data)?)
            }
            EventKind::VerificationRecorded => {
                Self::VerificationRecorded(serde_json::from_value(data)?)
            }
        })
    }
}

impl cqrs_es::DomainEvent for Event {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}
