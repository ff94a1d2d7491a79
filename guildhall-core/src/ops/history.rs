//! What changed, by which entries, and who decided it (DESIGN section 10).

use serde::Serialize;

use super::cursor::{Cursor, PositionKey};
use super::page::{Page, Paging};
use super::{ArtifactRevision, CustodyTransition, DeploymentChange, DeploymentState};
use crate::cid::Cid;
use crate::custody::CustodyState;
use crate::event::Tier;
use crate::ids::{ArtifactId, Position, Revision};
use crate::time::Timestamp;

/// What people call an artifact, and what never changes about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its type.
    pub artifact_type: String,
    /// Its tier.
    pub tier: Tier,
}

/// Something that an entry changed about an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The entry.
    pub position: Position,
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// Its name, type and tier.
    #[serde(flatten)]
    pub artifact: Named,
    /// What became of it.
    #[serde(flatten)]
    pub what: What,
}

/// What became of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// It was registered.
    Registered {
        /// Its first content.
        cid: Cid,
        /// When.
        recorded_at: Timestamp,
    },
    /// Its content was revised.
    Revised {
        /// Which content it has since.
        revision: Revision,
        /// The content's CID.
        cid: Cid,
        /// When.
        recorded_at: Timestamp,
    },
    /// A ceremony was opened.
    CeremonyOpened {
        /// By this link of its chain.
        transition: CustodyTransition,
    },
    /// A ceremony was closed.
    CeremonyClosed {
        /// By this link of its chain.
        transition: CustodyTransition,
    },
    /// Custody moved otherwise.
    Moved {
        /// By this link of its chain.
        transition: CustodyTransition,
    },
    /// The health of a target changed.
    Health {
        /// What was seen.
        change: DeploymentChange,
    },
}

impl What {
    /// The change that a link of a chain records.
    pub fn of_link(transition: CustodyTransition) -> Self {
        let open = CustodyState::CeremonyOpen;
        if transition.from_state == Some(open) {
            Self::CeremonyClosed { transition }
        } else if transition.to_state == open {
            Self::CeremonyOpened { transition }
        } else {
            Self::Moved { transition }
        }
    }

    /// The change that a revision records.
    pub fn of_content(revision: Revision, cid: Cid, recorded_at: Timestamp) -> Self {
        if revision == Revision::FIRST {
            Self::Registered { cid, recorded_at }
        } else {
            Self::Revised { revision, cid, recorded_at }
        }
    }
}

/// A change of a target, and the one that it follows: from what to what it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetChange {
    /// How the target has been since.
    pub change: DeploymentChange,
    /// How it was until then; none at the first observation, and where the tables' history begins.
    pub before: Option<DeploymentChange>,
}

/// The changes by the entries after `from`, up to `to`, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeQuery {
    /// After this position.
    pub from: Position,
    /// Up to this one.
    pub to: Position,
    /// Of this artifact.
    pub artifact_id: Option<ArtifactId>,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// How many rows, at most [`MAX_PAGE_ROWS`](super::MAX_PAGE_ROWS).
    pub limit: u32,
}

crate::setters!(ChangeQuery {
    artifact_id: impl Into<Option<ArtifactId>>,
    after: impl Into<Option<Cursor>>,
    limit: u32,
});

impl ChangeQuery {
    /// Its words wherever it is asked without Rust, as those of an
    /// [`ArtifactQuery`](super::ArtifactQuery::WORDS).
    pub const WORDS: [&'static str; 5] = ["from", "to", "artifact", "after", "limit"];

    /// All of them, a hundred a page.
    pub fn between(from: Position, to: Position) -> Self {
        Self { from, to, artifact_id: None, after: None, limit: 100 }
    }

    /// Which page it asks for.
    pub fn paging(&self) -> Paging<PositionKey> {
        Paging::of(self.after.as_ref(), self.limit)
    }

    /// After which position the rows of the page are, and up to which.
    pub fn positions(&self) -> (Position, Position) {
        match self.paging() {
            Paging { key: Some((key,)), is_turned: false, .. } => (key.max(self.from), self.to),
            Paging { key: Some((key,)), .. } => (self.from, key.previous().min(self.to)),
            Paging { key: None, .. } => (self.from, self.to),
        }
    }

    /// The page of what the tables have, each as many rows as it [wants](Paging::wanted) in its order.
    pub fn page(&self, parts: [Vec<Change>; 3]) -> Page<Change> {
        let paging = self.paging();
        let mut rows: Vec<_> = parts.into_iter().flatten().collect();
        rows.sort_by_key(|change| change.position);
        if paging.is_turned {
            rows.reverse();
        }
        paging.page(rows, |change| (change.position,))
    }
}

/// Who decided what runs on a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// What runs there.
    pub state: DeploymentState,
    /// The latest content of the artifact with the CID that was observed there; none where nothing was
    /// seen, or something that the artifact never had.
    pub revision: Option<ArtifactRevision>,
    /// The latest link that ratified it; none where none did.
    pub ratified: Option<CustodyTransition>,
    /// The link that opened that ceremony.
    pub opened: Option<CustodyTransition>,
}
