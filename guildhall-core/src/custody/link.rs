//! One link of a custody chain: how it is made, and what it hashes to (DESIGN section 4).

use serde::Serialize;

use super::state::CustodyState;
use crate::cid::{Cid, LinkHash};
use crate::event::CustodyTransitioned;
use crate::hash::hash_fields;
use crate::ids::{ArtifactId, CeremonyId, Seq};
use crate::json::Json;
use crate::time::Timestamp;

/// What precedes the hashed fields, so that the hash of a link is never that of anything else.
const LINK_DOMAIN: &[u8] = b"guildhall.custody.v1\n";

/// The hash of a link: SHA-256 over `guildhall.custody.v1\n` and the canonical JSON (RFC 8785) of
/// its eleven fields, nulls included (all but `hash`).
pub fn link_hash(link: &CustodyTransitioned) -> LinkHash {
    #[derive(Serialize)]
    struct Fields<'a> {
        actor: &'a str,
        artifact_id: ArtifactId,
        ceremony_id: Option<CeremonyId>,
        cid: Cid,
        evidence: &'a Json,
        from_state: Option<CustodyState>,
        occurred_at: Timestamp,
        prev_hash: Option<LinkHash>,
        reason: &'a str,
        seq: Seq,
        to_state: CustodyState,
    }
    let CustodyTransitioned {
        actor,
        artifact_id,
        ceremony_id,
        cid,
        evidence,
        from_state,
        hash: _,
        occurred_at,
        prev_hash,
        reason,
        seq,
        to_state,
    } = link;
    let fields = Fields {
        actor,
        artifact_id: *artifact_id,
        ceremony_id: *ceremony_id,
        cid: *cid,
        evidence,
        from_state: *from_state,
        occurred_at: *occurred_at,
        prev_hash: *prev_hash,
        reason,
        seq: *seq,
        to_state: *to_state,
    };
    LinkHash::from_bytes(hash_fields(LINK_DOMAIN, &fields))
}

/// The newest link of a chain: what the next one must follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    /// Where it stands.
    pub seq: Seq,
    /// The state that it moved to.
    pub state: CustodyState,
    /// Its hash.
    pub hash: LinkHash,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The ceremony that it entered or left.
    pub ceremony_id: Option<CeremonyId>,
    /// Who opened the ceremony that is open: the actor of the newest link that came to
    /// `ceremony_open` from another state. None where none is open.
    pub opened_by: Option<Box<str>>,
}

impl From<&CustodyTransitioned> for ChainHead {
    /// Takes a link to `ceremony_open` for the opening; [`ArtifactHead::advance`] knows of the one
    /// before.
    ///
    /// [`ArtifactHead::advance`]: crate::invariant::ArtifactHead::advance
    fn from(link: &CustodyTransitioned) -> Self {
        let is_open = link.to_state == CustodyState::CeremonyOpen;
        Self {
            seq: link.seq,
            state: link.to_state,
            hash: link.hash,
            occurred_at: link.occurred_at,
            ceremony_id: link.ceremony_id,
            opened_by: is_open.then(|| link.actor.as_str().into()),
        }
    }
}

/// What somebody wants of an artifact's custody; the chain supplies the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The state to reach.
    pub to_state: CustodyState,
    /// Who moves it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The ceremony to enter. Leaving one, the chain knows which; elsewhere there is none.
    pub ceremony_id: Option<CeremonyId>,
    /// What the actor puts forward.
    pub evidence: Json,
    /// When it happened.
    pub occurred_at: Timestamp,
}

/// Makes the link that follows `head`: its number, its hashes and, leaving a ceremony, which one.
/// Whether the move is permitted is for the [invariants](crate::invariant) to say.
///
/// ```
/// use guildhall_core::custody::{self, ChainHead, Move};
/// use guildhall_core::{ArtifactId, Cid, CustodyState, Json};
///
/// let draft = Move {
///     to_state: CustodyState::Drafted,
///     actor: "ada".into(),
///     reason: "first draft".into(),
///     ceremony_id: None,
///     evidence: Json::null(),
///     occurred_at: "2026-11-23T10:05:00Z".parse()?,
/// };
/// let (artifact_id, cid) = (ArtifactId::new(), Cid::of(&Json::parse("{}")?));
/// let first = custody::link(artifact_id, cid, None, draft.clone());
/// let second = custody::link(artifact_id, cid, Some(&ChainHead::from(&first)),
///     Move { to_state: CustodyState::Retired, ..draft });
/// assert_eq!(second.prev_hash, Some(first.hash));
/// assert_eq!(second.hash, custody::link_hash(&second));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn link(
    artifact_id: ArtifactId,
    cid: Cid,
    head: Option<&ChainHead>,
    wanted: Move,
) -> CustodyTransitioned {
    let leaving = head.filter(|head| head.state == CustodyState::CeremonyOpen);
    let mut link = CustodyTransitioned {
        actor: wanted.actor,
        artifact_id,
        ceremony_id: wanted.ceremony_id.or_else(|| leaving.and_then(|head| head.ceremony_id)),
        cid,
        evidence: wanted.evidence,
        from_state: head.map(|head| head.state),
        hash: LinkHash::from_bytes([0; 32]),
        occurred_at: wanted.occurred_at,
        prev_hash: head.map(|head| head.hash),
        reason: wanted.reason,
        seq: head.map_or(Seq::FIRST, |head| head.seq.next().unwrap_or(head.seq)),
        to_state: wanted.to_state,
    };
    link.hash = link_hash(&link);
    link
}

impl CustodyTransitioned {
    /// The link that the move makes on a chain, as [`link`] does. A recorder makes it from
    /// a [`Command`], and finds the chain itself.
    ///
    /// [`Command`]: crate::command::Command
    pub fn new(artifact_id: ArtifactId, cid: Cid, head: Option<&ChainHead>, wanted: Move) -> Self {
        link(artifact_id, cid, head, wanted)
    }
}
