//! What is reported: typed notices, and the topics that they are reported under.

use std::fmt;
use std::str::FromStr;

use guildhall_core::{
    ArtifactId, CeremonyId, CustodyState, CustodyTransitioned, Decoded, DecodedEntry, Event,
    Health, Outcome, Position, Timestamp,
};
use serde::{Deserialize, Serialize};

/// What a subscriber wants to know about. Its text is `ceremony:*`, `ceremony:<artifact id>`,
/// `posture:*` or `posture:<artifact id>`.
///
/// ```
/// use guildhall_projector::ceremony::Topic;
///
/// let topic: Topic = "posture:0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b".parse()?;
/// assert!(matches!(topic, Topic::PostureOf(_)));
/// assert_eq!(Topic::AllCeremonies.to_string(), "ceremony:*");
/// # Ok::<(), guildhall_projector::ceremony::TopicError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// The ceremonies of every artifact.
    AllCeremonies,
    /// The ceremonies of one.
    CeremoniesOf(ArtifactId),
    /// What runs, of every artifact.
    AllPostures,
    /// What runs, of one.
    PostureOf(ArtifactId),
}

/// A text that is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a valid topic, such as ceremony:* or posture:<artifact id>")]
pub struct TopicError {
    /// The text, cut to 64 characters.
    pub found: String,
}

impl Topic {
    /// Whether a notice is reported under it.
    pub fn covers(self, notice: &Notice) -> bool {
        match self {
            Self::AllCeremonies => notice.change.is_of_ceremony(),
            Self::CeremoniesOf(id) => notice.change.is_of_ceremony() && notice.artifact_id == id,
            Self::AllPostures => !notice.change.is_of_ceremony(),
            Self::PostureOf(id) => !notice.change.is_of_ceremony() && notice.artifact_id == id,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllCeremonies => formatter.write_str("ceremony:*"),
            Self::CeremoniesOf(id) => write!(formatter, "ceremony:{id}"),
            Self::AllPostures => formatter.write_str("posture:*"),
            Self::PostureOf(id) => write!(formatter, "posture:{id}"),
        }
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let error = || TopicError { found: text.chars().take(64).collect() };
        match text.split_once(':').ok_or_else(error)? {
            ("ceremony", "*") => Ok(Self::AllCeremonies),
            ("posture", "*") => Ok(Self::AllPostures),
            ("ceremony", id) => Ok(Self::CeremoniesOf(id.parse().map_err(|_| error())?)),
            ("posture", id) => Ok(Self::PostureOf(id.parse().map_err(|_| error())?)),
            _ => Err(error()),
        }
    }
}

/// One change that can be read from the Ops DB now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Notice {
    /// The entry that it comes from; no two notices have one position.
    pub position: Position,
    /// The artifact that changed.
    pub artifact_id: ArtifactId,
    /// When the entry was recorded.
    pub recorded_at: Timestamp,
    /// What changed.
    #[serde(flatten)]
    pub change: Change,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A ceremony was opened.
    CeremonyOpened {
        /// The ceremony.
        ceremony_id: Option<CeremonyId>,
        /// Who opened it.
        actor: String,
        /// Why.
        reason: String,
    },
    /// A ceremony was closed.
    CeremonyClosed {
        /// The ceremony.
        ceremony_id: Option<CeremonyId>,
        /// How.
        outcome: CeremonyOutcome,
        /// Who closed it.
        actor: String,
        /// Why.
        reason: String,
    },
    /// Custody moved outside a ceremony: drafted, deployed, suspended or retired.
    CustodyMoved {
        /// From where; none at genesis.
        from_state: Option<CustodyState>,
        /// To where.
        to_state: CustodyState,
        /// Who moved it.
        actor: String,
        /// Why.
        reason: String,
    },
    /// A target was looked at. The row keeps the latest look; a late one speaks of the past.
    DeploymentObserved {
        /// Where.
        target: String,
        /// What this look found.
        health: Health,
    },
    /// A verdict was reached.
    VerificationRecorded {
        /// Where; none when it is about the artifact itself.
        target: Option<String>,
        /// Who judged.
        verifier: String,
        /// What it found.
        outcome: Outcome,
    },
}

impl Change {
    /// Whether it is reported under a ceremony's topic, and not under a posture's.
    pub const fn is_of_ceremony(&self) -> bool {
        match self {
            Self::CeremonyOpened { .. } | Self::CeremonyClosed { .. } => true,
            Self::CustodyMoved { .. }
            | Self::DeploymentObserved { .. }
            | Self::VerificationRecorded { .. } => false,
        }
    }
}

/// How a ceremony ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CeremonyOutcome {
    /// It passed.
    Ratified,
    /// It did not pass.
    Rejected,
    /// It was called off; the artifact is a draft again.
    Withdrawn,
}

impl CeremonyOutcome {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ratified => "ratified",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Where it leaves the artifact.
    pub const fn state(self) -> CustodyState {
        match self {
            Self::Ratified => CustodyState::Ratified,
            Self::Rejected => CustodyState::Rejected,
            Self::Withdrawn => CustodyState::Drafted,
        }
    }

    /// What a move out of `ceremony_open` says; none where it ends no ceremony in a known way.
    pub const fn of_state(to_state: CustodyState) -> Option<Self> {
        match to_state {
            CustodyState::Ratified => Some(Self::Ratified),
            CustodyState::Rejected => Some(Self::Rejected),
            CustodyState::Drafted => Some(Self::Withdrawn),
            CustodyState::CeremonyOpen
            | CustodyState::Deployed
            | CustodyState::Suspended
            | CustodyState::Retired => None,
        }
    }
}

impl fmt::Display for CeremonyOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Notice {
    /// What an applied entry has to tell; nothing for registrations, revisions and accords.
    pub(crate) fn of(entry: &DecodedEntry) -> Option<Self> {
        let Ok(Decoded::Event(event)) = &entry.decoded else { return None };
        let (artifact_id, change) = match event {
            Event::CustodyTransitioned(link) => (link.artifact_id, moved(link)),
            Event::DeploymentObserved(seen) => (
                seen.artifact_id,
                Change::DeploymentObserved {
                    target: seen.target.clone(),
                    health: Health::of(seen.desired_cid, seen.observed_cid),
                },
            ),
            Event::VerificationRecorded(verdict) => (
                verdict.artifact_id,
                Change::VerificationRecorded {
                    target: verdict.target.clone(),
                    verifier: verdict.verifier.clone(),
                    outcome: verdict.outcome,
                },
            ),
            // Nor of an event that is newer than this: notices are told of what is named above.
            _ => return None,
        };
        Some(Self { position: entry.position, artifact_id, recorded_at: entry.recorded_at, change })
    }
}

fn moved(link: &CustodyTransitioned) -> Change {
    let CustodyTransitioned { ceremony_id, from_state, to_state, .. } = *link;
    let (actor, reason) = (link.actor.clone(), link.reason.clone());
    if to_state == CustodyState::CeremonyOpen {
        return Change::CeremonyOpened { ceremony_id, actor, reason };
    }
    let closes = from_state == Some(CustodyState::CeremonyOpen);
    match CeremonyOutcome::of_state(to_state).filter(|_| closes) {
        Some(outcome) => Change::CeremonyClosed { ceremony_id, outcome, actor, reason },
        None => Change::CustodyMoved { from_state, to_state, actor, reason },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_topic_is_read_as_it_is_written() {
        let id = ArtifactId::new();
        for topic in [
            Topic::AllCeremonies,
            Topic::CeremoniesOf(id),
            Topic::AllPostures,
            Topic::PostureOf(id),
        ] {
            assert_eq!(topic.to_string().parse::<Topic>().unwrap(), topic);
        }
        for text in ["", "ceremony", "ceremony:", "posture:**", "other:*", "ceremony:ABC"] {
            assert!(text.parse::<Topic>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_outcome_and_its_state_agree() {
        use CeremonyOutcome::{Ratified, Rejected, Withdrawn};
        for outcome in [Ratified, Rejected, Withdrawn] {
            assert_eq!(CeremonyOutcome::of_state(outcome.state()), Some(outcome));
        }
        assert_eq!(CeremonyOutcome::of_state(CustodyState::Deployed), None);
    }
}
