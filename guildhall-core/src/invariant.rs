//! What must hold of an entry, in the order in which it is checked (DESIGN section 4).
//!
//! One pure function, [`check`], judges an event against the [heads](crate::fold::Heads) of what it
//! touches. It runs twice: before an append of commands, and when the log is projected.

use crate::cid::{Cid, LinkHash};
use crate::custody::{ChainHead, CustodyPolicy, CustodyState, Rule, link_hash};
use crate::event::{CustodyTransitioned, Event};
use crate::ids::{AccordId, ArtifactId, CeremonyId, Seq, StreamId};
use crate::time::Timestamp;
use crate::words::words;

words!(
    /// The code of an invariant, as errors, quarantine rows and tests name it.
    #[non_exhaustive]
    Code, "invariant code" {
        /// `data` decodes as its type, and the stream is the one its fields name.
        CC00 = "CC00",
        /// A chain begins with `seq` 1, no `from_state`, no `prev_hash`, at `drafted`.
        CC01 = "CC01",
        /// `seq` is the head's plus one.
        CC02 = "CC02",
        /// `from_state` is the head's `to_state`.
        CC03 = "CC03",
        /// The policy permits the move.
        CC04 = "CC04",
        /// `prev_hash` is the head's `hash`.
        CC05 = "CC05",
        /// `hash` is what the fields hash to.
        CC06 = "CC06",
        /// `occurred_at` is not before the head's.
        CC07 = "CC07",
        /// `cid` is the CID of the content it stands for.
        CC08 = "CC08",
        /// A ceremony is named on entering and on leaving it, and nowhere else.
        CC09 = "CC09",
        /// Only content that an earlier link ratified is deployed.
        CC10 = "CC10",
        /// What an entry refers to exists, and what it creates does not.
        CC11 = "CC11",
        /// No revision while a ceremony is open or after retirement.
        CC12 = "CC12",
    }
);

impl Code {
    /// What holds where it is not broken, as DESIGN section 4 has it, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::CC00 => "the data decodes as its type, and the stream is the one its fields name",
            Self::CC01 => "a chain begins with link 1, from no state and no hash, at drafted",
            Self::CC02 => "a link's number is that of the one before, plus one",
            Self::CC03 => "a link begins in the state in which the one before ended",
            Self::CC04 => "the policy permits the move",
            Self::CC05 => "a link names the hash of the one before",
            Self::CC06 => "a link's hash is what its fields hash to",
            Self::CC07 => "a link happened no earlier than the one before",
            Self::CC08 => "a CID is that of the content it stands for",
            Self::CC09 => "a ceremony is named on entering and on leaving it, and nowhere else",
            Self::CC10 => "only content that was ratified is deployed",
            Self::CC11 => "what an entry refers to exists, and what it creates does not",
            Self::CC12 => "nothing is revised while a ceremony is open, or after retirement",
        }
    }
}

/// A broken invariant: what was found and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// `CC00`: the payload is not what its type says.
    #[error("the data does not decode: {reason}")]
    Undecodable {
        /// What is wrong with it.
        reason: String,
    },
    /// `CC00`: the entry stands in a stream that its fields do not name.
    #[error("the entry stands in stream {found}, its fields name {expected}")]
    WrongStream {
        /// The entry's stream.
        found: StreamId,
        /// The stream of the artifact or accord in its fields.
        expected: StreamId,
    },
    /// `CC11`: the accord does not exist.
    #[error("the accord {accord_id} does not exist")]
    NoAccord {
        /// The accord.
        accord_id: AccordId,
    },
    /// `CC11`: the artifact does not exist.
    #[error("the artifact {artifact_id} does not exist")]
    NoArtifact {
        /// The artifact.
        artifact_id: ArtifactId,
    },
    /// `CC11`: the accord or the artifact exists already.
    #[error("{stream_id} exists already")]
    ExistsAlready {
        /// Its stream.
        stream_id: StreamId,
    },
    /// `CC06`: the link's hash is not that of its fields.
    #[error("the hash is {found}, the fields hash to {expected}")]
    WrongHash {
        /// The hash in the event.
        found: LinkHash,
        /// The hash of its fields.
        expected: LinkHash,
    },
    /// `CC01`: the first link of a chain is not a genesis.
    #[error("a chain begins with seq 1, no from_state and no prev_hash, to drafted; found {found}")]
    NotGenesis {
        /// What differs, such as "seq 2".
        found: String,
    },
    /// `CC02`: the link does not follow the head.
    #[error("seq is {found}, the next in the chain is {expected}")]
    WrongSeq {
        /// The event's.
        found: Seq,
        /// The head's plus one.
        expected: Seq,
    },
    /// `CC05`: the link is not tied to the head.
    #[error("prev_hash is {}, the head's hash is {expected}", or_null(.found))]
    WrongPrevHash {
        /// The event's.
        found: Option<LinkHash>,
        /// The head's hash.
        expected: LinkHash,
    },
    /// `CC03`: the link starts from another state than the head's.
    #[error("from_state is {}, the artifact is {expected}", or_null(.found))]
    WrongFromState {
        /// The event's.
        found: Option<CustodyState>,
        /// The head's.
        expected: CustodyState,
    },
    /// `CC07`: the link happened before the head.
    #[error("occurred_at is {found}, before the head's {head}")]
    BackInTime {
        /// The event's.
        found: Timestamp,
        /// The head's.
        head: Timestamp,
    },
    /// `CC04`: the policy does not permit the move.
    #[error("the policy does not permit {from} to {to}")]
    NotPermitted {
        /// The state before.
        from: CustodyState,
        /// The state wanted.
        to: CustodyState,
    },
    /// `CC04`: a rule of the policy does not permit the move.
    #[error("the policy says that {rule}; the actor is {actor}")]
    AgainstRule {
        /// The rule.
        rule: Rule,
        /// Who wanted to move it.
        actor: String,
    },
    /// `CC12`: the artifact's content is frozen.
    #[error("the content is frozen while the artifact is {state}")]
    Frozen {
        /// The artifact's state.
        state: CustodyState,
    },
    /// `CC08`: the CID is not that of the content that the event carries.
    #[error("cid is {found}, the content's is {expected}")]
    WrongCid {
        /// The event's.
        found: Cid,
        /// The content's.
        expected: Cid,
    },
    /// `CC08`: the event stands for another content than the artifact's current one.
    #[error("the event is about {found}, the artifact's content is {expected}")]
    NotCurrentCid {
        /// The event's `previous_cid` (a revision) or `cid` (a transition).
        found: Cid,
        /// The artifact's.
        expected: Cid,
    },
    /// `CC09`: the wrong ceremony is named, or one where there is none, or none where there is one.
    #[error("ceremony_id is {}, expected {}", or_null(.found), .expected)]
    WrongCeremony {
        /// The event's.
        found: Option<CeremonyId>,
        /// What belongs there.
        expected: ExpectedCeremony,
    },
    /// `CC10`: the content was never ratified.
    #[error("{cid} is not ratified by an earlier link of this chain")]
    NotRatified {
        /// The content.
        cid: Cid,
    },
}

/// Which ceremony a transition has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedCeremony {
    /// The one that it enters: any, but one.
    Any,
    /// The one that it leaves.
    Leaving(Option<CeremonyId>),
    /// None: the move neither enters nor leaves one.
    None,
}

impl std::fmt::Display for ExpectedCeremony {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => formatter.write_str("the ceremony that is entered"),
            Self::Leaving(ceremony) => formatter.write_str(&or_null(ceremony)),
            Self::None => formatter.write_str("null"),
        }
    }
}

fn or_null<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(|| "null".to_owned(), T::to_string)
}

impl Violation {
    /// Which invariant is broken.
    pub const fn code(&self) -> Code {
        match self {
            Self::Undecodable { .. } | Self::WrongStream { .. } => Code::CC00,
            Self::NoAccord { .. } | Self::NoArtifact { .. } | Self::ExistsAlready { .. } => {
                Code::CC11
            }
            Self::WrongHash { .. } => Code::CC06,
            Self::NotGenesis { .. } => Code::CC01,
            Self::WrongSeq { .. } => Code::CC02,
            Self::WrongPrevHash { .. } => Code::CC05,
            Self::WrongFromState { .. } => Code::CC03,
            Self::BackInTime { .. } => Code::CC07,
            Self::NotPermitted { .. } | Self::AgainstRule { .. } => Code::CC04,
            Self::Frozen { .. } => Code::CC12,
            Self::WrongCid { .. } | Self::NotCurrentCid { .. } => Code::CC08,
            Self::WrongCeremony { .. } => Code::CC09,
            Self::NotRatified { .. } => Code::CC10,
        }
    }
}

/// What is known of an artifact that exists: all that the next event about it is judged against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactHead {
    /// The CID of its current content.
    pub cid: Cid,
    /// The newest link of its chain; none before genesis.
    pub chain: Option<ChainHead>,
    /// The contents that its chain ratified, each once, in any order.
    pub ratified: Vec<Cid>,
}

impl ArtifactHead {
    /// Follows a link that holds: it is the newest now, and may have ratified its content.
    pub fn advance(&mut self, link: &CustodyTransitioned) {
        let opened_by = self.chain.take().and_then(|before| before.opened_by);
        let mut head = ChainHead::from(link);
        // A policy may permit a ceremony to go on as a ceremony: who opened it stays the same.
        head.opened_by = head.opened_by.map(|actor| opened_by.unwrap_or(actor));
        self.chain = Some(head);
        if link.to_state == CustodyState::Ratified && !self.ratified.contains(&link.cid) {
            self.ratified.push(link.cid);
        }
    }
}

/// What an event is judged against: what exists of the things that it names.
#[derive(Debug, Clone, Copy)]
pub struct Context<'h> {
    /// Which moves are permitted, and to whom.
    pub policy: &'h CustodyPolicy,
    /// Whether the accord that the event names exists. Read for accords and registrations only.
    pub accord_exists: bool,
    /// The artifact that the event names, if it exists.
    pub artifact: Option<&'h ArtifactHead>,
}

/// Judges one event.
///
/// # Errors
/// The first invariant that it breaks, in DESIGN's order.
pub fn check(event: &Event, context: Context<'_>) -> Result<(), Violation> {
    let existing = |artifact_id| context.artifact.ok_or(Violation::NoArtifact { artifact_id });
    match event {
        Event::AccordBound(event) => ensure(!context.accord_exists, || Violation::ExistsAlready {
            stream_id: event.accord_id.into(),
        }),
        Event::ArtifactRegistered(event) => {
            ensure(context.accord_exists, || Violation::NoAccord { accord_id: event.accord_id })?;
            ensure(context.artifact.is_none(), || Violation::ExistsAlready {
                stream_id: event.artifact_id.into(),
            })?;
            content_address(event.cid, Cid::of(&event.content))
        }
        Event::ArtifactRevised(event) => {
            let head = existing(event.artifact_id)?;
            if let Some(chain) = &head.chain {
                let is_frozen =
                    matches!(chain.state, CustodyState::CeremonyOpen | CustodyState::Retired);
                ensure(!is_frozen, || Violation::Frozen { state: chain.state })?;
            }
            content_address(event.cid, Cid::of(&event.content))?;
            current(event.previous_cid, head)
        }
        Event::CustodyTransitioned(link) => {
            check_link(link, existing(link.artifact_id)?, context.policy)
        }
        Event::DeploymentObserved(event) => existing(event.artifact_id).map(|_| ()),
        Event::VerificationRecorded(event) => existing(event.artifact_id).map(|_| ()),
    }
}

fn ensure(holds: bool, violation: impl FnOnce() -> Violation) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation()) }
}

fn content_address(found: Cid, expected: Cid) -> Result<(), Violation> {
    ensure(found == expected, || Violation::WrongCid { found, expected })
}

fn current(found: Cid, head: &ArtifactHead) -> Result<(), Violation> {
    ensure(found == head.cid, || Violation::NotCurrentCid { found, expected: head.cid })
}

fn check_link(
    link: &CustodyTransitioned,
    artifact: &ArtifactHead,
    policy: &CustodyPolicy,
) -> Result<(), Violation> {
    let expected = link_hash(link);
    ensure(link.hash == expected, || Violation::WrongHash { found: link.hash, expected })?;
    match &artifact.chain {
        None => genesis(link)?,
        Some(head) => follows(link, head, policy)?,
    }
    current(link.cid, artifact)?;
    ceremony(link, artifact.chain.as_ref())?;
    let is_released =
        link.to_state != CustodyState::Deployed || artifact.ratified.contains(&link.cid);
    ensure(is_released, || Violation::NotRatified { cid: link.cid })
}

fn genesis(link: &CustodyTransitioned) -> Result<(), Violation> {
    let found = if link.seq != Seq::FIRST {
        format!("seq {}", link.seq)
    } else if let Some(from) = link.from_state {
        format!("from_state {from}")
    } else if let Some(hash) = link.prev_hash {
        format!("prev_hash {hash}")
    } else if link.to_state != CustodyState::Drafted {
        format!("to_state {}", link.to_state)
    } else {
        return Ok(());
    };
    Err(Violation::NotGenesis { found })
}

fn follows(
    link: &CustodyTransitioned,
    head: &ChainHead,
    policy: &CustodyPolicy,
) -> Result<(), Violation> {
    ensure(Some(link.seq) == head.seq.next(), || Violation::WrongSeq {
        found: link.seq,
        expected: head.seq.next().unwrap_or(Seq::MAX),
    })?;
    ensure(link.prev_hash == Some(head.hash), || Violation::WrongPrevHash {
        found: link.prev_hash,
        expected: head.hash,
    })?;
    ensure(link.from_state == Some(head.state), || Violation::WrongFromState {
        found: link.from_state,
        expected: head.state,
    })?;
    ensure(link.occurred_at >= head.occurred_at, || Violation::BackInTime {
        found: link.occurred_at,
        head: head.occurred_at,
    })?;
    ensure(policy.permits(head.state, link.to_state), || Violation::NotPermitted {
        from: head.state,
        to: link.to_state,
    })?;
    let broken = policy.rules().iter().find(|rule| !rule.permits(link, head));
    broken.map_or(Ok(()), |rule| {
        Err(Violation::AgainstRule { rule: rule.clone(), actor: link.actor.clone() })
    })
}

fn ceremony(link: &CustodyTransitioned, head: Option<&ChainHead>) -> Result<(), Violation> {
    let leaving = head.filter(|head| head.state == CustodyState::CeremonyOpen);
    let (holds, expected) = match leaving {
        // Leaving comes first: a policy may permit a ceremony to follow a ceremony.
        Some(head) => {
            (link.ceremony_id == head.ceremony_id, ExpectedCeremony::Leaving(head.ceremony_id))
        }
        None if link.to_state == CustodyState::CeremonyOpen => {
            (link.ceremony_id.is_some(), ExpectedCeremony::Any)
        }
        None => (link.ceremony_id.is_none(), ExpectedCeremony::None),
    };
    ensure(holds, || Violation::WrongCeremony { found: link.ceremony_id, expected })
}

#[cfg(test)]
mod tests;
