//! What is reported: typed notices, and the topics that they are reported under.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use guildhall_core::{
    ArtifactId, CeremonyId, Cid, CustodyState, CustodyTransitioned, Decoded, DecodedEntry,
    DeploymentChange, Event, Health, Outcome, Position, TargetChange, Timestamp,
};
use serde::{Deserialize, Serialize};

/// What a subscriber wants to know about. Its text is `ceremony:`, `custody:` or `posture:`, and `*` or the id
/// of one artifact.
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
    /// The custody of every artifact, where it moves outside a ceremony.
    AllCustody,
    /// That of one.
    CustodyOf(ArtifactId),
    /// Whether what runs is what was ratified, of every artifact: targets that changed, and verdicts.
    AllPostures,
    /// The same of one.
    PostureOf(ArtifactId),
}

/// A text that is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a valid topic, such as ceremony:*, custody:* or posture:<artifact id>")]
pub struct TopicError {
    /// The text, cut to 64 characters.
    pub found: String,
}

impl Topic {
    /// The topics that every notice is under one of.
    pub const EVERYTHING: [Self; 3] = [Self::AllCeremonies, Self::AllCustody, Self::AllPostures];

    /// Whether a notice is reported under it.
    pub fn covers(self, notice: &Notice) -> bool {
        self.kind() == notice.change.kind()
            && self.artifact_id().is_none_or(|id| id == notice.artifact_id)
    }

    /// What comes before the colon.
    const fn kind(self) -> TopicKind {
        match self {
            Self::AllCeremonies | Self::CeremoniesOf(_) => TopicKind::Ceremony,
            Self::AllCustody | Self::CustodyOf(_) => TopicKind::Custody,
            Self::AllPostures | Self::PostureOf(_) => TopicKind::Posture,
        }
    }

    /// What comes after it; none for `*`.
    const fn artifact_id(self) -> Option<ArtifactId> {
        match self {
            Self::AllCeremonies | Self::AllCustody | Self::AllPostures => None,
            Self::CeremoniesOf(id) | Self::CustodyOf(id) | Self::PostureOf(id) => Some(id),
        }
    }
}

/// What a topic, and a notice, is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicKind {
    /// A ceremony: `ceremony`.
    Ceremony,
    /// Custody outside of ceremonies: `custody`.
    Custody,
    /// Deployments and verifications: `posture`.
    Posture,
}

impl TopicKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ceremony => "ceremony",
            Self::Custody => "custody",
            Self::Posture => "posture",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind().as_str();
        match self.artifact_id() {
            None => write!(formatter, "{kind}:*"),
            Some(id) => write!(formatter, "{kind}:{id}"),
        }
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let error = || TopicError { found: text.chars().take(64).collect() };
        match text.split_once(':').ok_or_else(error)? {
            ("ceremony", "*") => Ok(Self::AllCeremonies),
            ("custody", "*") => Ok(Self::AllCustody),
            ("posture", "*") => Ok(Self::AllPostures),
            ("ceremony", id) => Ok(Self::CeremoniesOf(id.parse().map_err(|_| error())?)),
            ("custody", id) => Ok(Self::CustodyOf(id.parse().map_err(|_| error())?)),
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
    /// An observation found another health, or another CID, than the one before. One that found what was
    /// known, or came late, is not a notice: the rule is that of the table `deployment_changes`.
    DeploymentChanged {
        /// Where.
        target: String,
        /// How it was until then; none at the first observation, and where the Ops DB's history begins.
        from: Option<Seen>,
        /// How it has been since.
        to: Seen,
        /// When it was seen.
        observed_at: Timestamp,
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
    /// Under which topics it is reported.
    pub const fn kind(&self) -> TopicKind {
        match self {
            Self::CeremonyOpened { .. } | Self::CeremonyClosed { .. } => TopicKind::Ceremony,
            Self::CustodyMoved { .. } => TopicKind::Custody,
            Self::DeploymentChanged { .. } | Self::VerificationRecorded { .. } => {
                TopicKind::Posture
            }
        }
    }
}

/// How a target was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Seen {
    /// What the two say.
    pub health: Health,
    /// What should run there.
    pub desired_cid: Cid,
    /// What does; none where nothing was seen.
    pub observed_cid: Option<Cid>,
}

impl From<&DeploymentChange> for Seen {
    fn from(change: &DeploymentChange) -> Self {
        let DeploymentChange { health, desired_cid, observed_cid, .. } = *change;
        Self { health, desired_cid, observed_cid }
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
    /// What an applied entry has to tell, where these are the targets that changed, by position; nothing for
    /// registrations, revisions and accords, and for an observation that changed nothing.
    pub(crate) fn of(
        entry: &DecodedEntry,
        changed: &HashMap<Position, TargetChange>,
    ) -> Option<Self> {
        let Ok(Decoded::Event(event)) = &entry.decoded else { return None };
        let (artifact_id, change) = match event {
            Event::CustodyTransitioned(link) => (link.artifact_id, moved(link)),
            Event::DeploymentObserved(seen) => {
                (seen.artifact_id, changed.get(&entry.position).map(of_target)?)
            }
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

fn of_target(TargetChange { change, before }: &TargetChange) -> Change {
    Change::DeploymentChanged {
        target: change.target.clone(),
        from: before.as_ref().map(Seen::from),
        to: Seen::from(change),
        observed_at: change.observed_at,
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
            Topic::AllCustody,
            Topic::CustodyOf(id),
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
