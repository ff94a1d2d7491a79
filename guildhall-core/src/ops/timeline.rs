//! Everything that became of one artifact, in one order (DESIGN section 10).

use serde::Serialize;

use super::cursor::Cursor;
use super::history::{Change, ChangeQuery, TargetChange, What};
use super::page::{Page, Paging};
use super::{CustodyTransition, DeploymentChange, VerificationResult};
use crate::cid::Cid;
use crate::ids::{ArtifactId, Position, Revision};
use crate::time::Timestamp;
use crate::words::words;

words!(
    /// What an entry of a timeline is about.
    TimelineKind, "kind of timeline entry" {
        /// The artifact was registered, or its content revised.
        Revision = "revision",
        /// A ceremony was opened or closed.
        Ceremony = "ceremony",
        /// Custody moved otherwise.
        Transition = "transition",
        /// A target was found otherwise than before: its health, or a CID.
        Target = "target",
        /// A verifier judged it.
        Verification = "verification",
    }
);

/// One thing that became of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimelineEntry {
    /// The entry of the log that says so. Only where the tables' history begins later than the log may a
    /// content have that of a link: there it is the entry that last wrote the artifact.
    pub position: Position,
    /// When it happened: `occurred_at`, `observed_at`, `verified_at`; of a content, when it was recorded.
    /// It may be earlier than that of an entry before it: the order is the log's.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub what: Happened,
}

/// What happened to an artifact, as the tables keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happened {
    /// It got a content: its first where it was registered, or another.
    Revision {
        /// Which content; [`Revision::FIRST`] is the registration.
        revision: Revision,
        /// The content's CID.
        cid: Cid,
    },
    /// A ceremony was opened, or closed.
    Ceremony {
        /// By this link of its chain.
        transition: CustodyTransition,
    },
    /// Custody moved otherwise.
    Transition {
        /// By this link of its chain.
        transition: CustodyTransition,
    },
    /// A target was found otherwise than before.
    Target {
        /// How it has been since.
        change: DeploymentChange,
        /// How it was until then; none at the first observation, and where the tables' history begins.
        before: Option<DeploymentChange>,
    },
    /// A verifier judged it.
    Verification {
        /// The verdict.
        verification: VerificationResult,
    },
}

impl Happened {
    /// What it is about.
    pub const fn kind(&self) -> TimelineKind {
        match self {
            Self::Revision { .. } => TimelineKind::Revision,
            Self::Ceremony { .. } => TimelineKind::Ceremony,
            Self::Transition { .. } => TimelineKind::Transition,
            Self::Target { .. } => TimelineKind::Target,
            Self::Verification { .. } => TimelineKind::Verification,
        }
    }
}

impl From<Change> for TimelineEntry {
    fn from(change: Change) -> Self {
        let (at, what) = match change.what {
            What::Registered { cid, recorded_at } => {
                (recorded_at, Happened::Revision { revision: Revision::FIRST, cid })
            }
            What::Revised { revision, cid, recorded_at } => {
                (recorded_at, Happened::Revision { revision, cid })
            }
            What::CeremonyOpened { transition } | What::CeremonyClosed { transition } => {
                (transition.occurred_at, Happened::Ceremony { transition })
            }
            What::Moved { transition } => {
                (transition.occurred_at, Happened::Transition { transition })
            }
            What::Health { change } => {
                (change.observed_at, Happened::Target { change, before: None })
            }
        };
        Self { position: change.position, at, what }
    }
}

impl From<TargetChange> for TimelineEntry {
    fn from(TargetChange { change, before }: TargetChange) -> Self {
        let (position, at) = (change.position, change.observed_at);
        Self { position, at, what: Happened::Target { change, before } }
    }
}

impl From<VerificationResult> for TimelineEntry {
    fn from(verification: VerificationResult) -> Self {
        let (position, at) = (verification.position, verification.verified_at);
        Self { position, at, what: Happened::Verification { verification } }
    }
}

/// What timelines are ordered by: the entry of the log; where a content has that of a link, it came before.
pub type TimelineKey = (Position, TimelineKind);

impl TimelineEntry {
    /// Its place in the order.
    pub fn key(&self) -> TimelineKey {
        (self.position, self.what.kind())
    }
}

/// The timeline of an artifact, the latest entry first. An empty filter lets all through.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimelineQuery {
    /// Of this artifact.
    pub artifact_id: ArtifactId,
    /// Of these kinds.
    pub kinds: Vec<TimelineKind>,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// How many rows, at most [`MAX_PAGE_ROWS`](super::MAX_PAGE_ROWS).
    pub limit: u32,
}

crate::setters!(TimelineQuery {
    kinds: impl Into<Vec<TimelineKind>>,
    after: impl Into<Option<Cursor>>,
    limit: u32,
});

impl TimelineQuery {
    /// Its words wherever it is asked without Rust, as those of an
    /// [`ArtifactQuery`](super::ArtifactQuery::WORDS); the artifact is named apart.
    pub const WORDS: [&'static str; 3] = ["kind", "after", "limit"];

    /// All of an artifact's, a hundred a page.
    pub fn of(artifact_id: ArtifactId) -> Self {
        Self { artifact_id, kinds: Vec::new(), after: None, limit: 100 }
    }

    /// Whether entries of this kind are asked for.
    pub fn wants(&self, kind: TimelineKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// Which page it asks for.
    pub fn paging(&self) -> Paging<TimelineKey> {
        Paging::of(self.after.as_ref(), self.limit)
    }

    /// What to ask the table of a kind for: the rows that the page may have, the nearest to where it begins
    /// first, one more than it holds.
    pub fn range_of(&self, kind: TimelineKind) -> ChangeQuery {
        let range = ChangeQuery::between(Position::ZERO, Position::MAX)
            .artifact_id(self.artifact_id)
            .limit(self.limit);
        let paging = self.paging();
        let Some((at, last)) = paging.key else {
            return range.after(Cursor::before(Position::MAX).turned());
        };
        // Whether rows of this kind that have the very same position are still to come.
        let is_content = |kind| kind == TimelineKind::Revision;
        if paging.is_turned {
            let is_to_come = is_content(last) && !is_content(kind);
            range.after(Cursor::before(if is_to_come { at.previous() } else { at }))
        } else {
            let is_to_come = is_content(kind) && !is_content(last);
            let up_to = at.next().filter(|_| is_to_come).unwrap_or(at);
            range.after(Cursor::before(up_to).turned())
        }
    }

    /// The page of what the tables have, each as many rows of its [range](Self::range_of) as that
    /// [wants](Paging::wanted), in any order.
    pub fn page(&self, mut rows: Vec<TimelineEntry>) -> Page<TimelineEntry> {
        let paging = self.paging();
        rows.sort_by_key(TimelineEntry::key);
        if !paging.is_turned {
            rows.reverse();
        }
        paging.page(rows, TimelineEntry::key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;
    use crate::ops::Health;

    /// Which kind a row has is its table's; to the merge all but contents are alike.
    fn entry(position: u64, kind: TimelineKind) -> TimelineEntry {
        let position = Position::try_from(position).unwrap();
        let (cid, at) = (Cid::from_digest([0; 32]), Timestamp::MIN);
        let what = match kind {
            TimelineKind::Revision => Happened::Revision { revision: Revision::FIRST, cid },
            _ => Happened::Target {
                change: DeploymentChange {
                    artifact_id: nobody(),
                    target: String::new(),
                    observed_at: at,
                    desired_cid: cid,
                    observed_cid: None,
                    previous_health: None,
                    health: Health::Unknown,
                    health_since: at,
                    position,
                },
                before: None,
            },
        };
        TimelineEntry { position, at, what }
    }

    fn nobody() -> ArtifactId {
        ArtifactId::from_uuid(uuid::Uuid::nil())
    }

    /// The page as a store makes it: each kind of its own range, cut to what is wanted.
    fn stored(tables: &[Vec<u64>; 5], query: &TimelineQuery) -> Page<TimelineEntry> {
        let mut rows = Vec::new();
        for (kind, table) in TimelineKind::ALL.iter().zip(tables) {
            let range = query.range_of(*kind);
            let ((after, up_to), paging) = (range.positions(), range.paging());
            let is_in = |at: &&u64| **at > after.get() && **at <= up_to.get();
            let mut found: Vec<u64> = table.iter().filter(is_in).copied().collect();
            if paging.is_turned {
                found.reverse();
            }
            found.truncate(usize::try_from(paging.wanted()).unwrap());
            let is_wanted = query.wants(*kind);
            rows.extend(found.into_iter().filter(|_| is_wanted).map(|at| entry(at, *kind)));
        }
        query.page(rows)
    }

    /// What a page shows: positions, and whether each is of a content.
    fn of(page: &Page<TimelineEntry>) -> Vec<(u64, bool)> {
        let place = |entry: &TimelineEntry| {
            (entry.position.get(), entry.what.kind() == TimelineKind::Revision)
        };
        page.rows.iter().map(place).collect()
    }

    proptest! {
        #[test]
        fn pages_joined_are_the_whole_in_both_directions(
            happened in prop::collection::vec(0..8_usize, 0..60),
            kinds in prop::sample::subsequence(TimelineKind::ALL.to_vec(), 0..=5),
            limit in 1..8_u32,
        ) {
            let query = TimelineQuery::of(nobody()).kinds(kinds).limit(limit);
            let mut tables: [Vec<u64>; 5] = Default::default();
            let mut whole = Vec::new();
            for (position, happened) in (1..).zip(happened) {
                // Of one kind; of none; or a content that has the position of a link.
                let kinds: &[usize] = match happened {
                    0..5 => &[happened],
                    5 => &[],
                    6 => &[0, 1],
                    _ => &[0, 2],
                };
                for kind in kinds {
                    tables[*kind].push(position);
                    if query.wants(TimelineKind::ALL[*kind]) {
                        whole.push((position, *kind == 0));
                    }
                }
            }
            whole.reverse();
            let mut pages = vec![stored(&tables, &query)];
            while let Some(next) = pages.last().unwrap().next.clone() {
                pages.push(stored(&tables, &query.clone().after(next)));
                prop_assert!(pages.len() <= whole.len() + 1, "the pages do not end");
            }
            prop_assert_eq!(pages.iter().flat_map(of).collect::<Vec<_>>(), whole);
            prop_assert!(pages.iter().all(|page| page.rows.len() <= limit as usize));
            for pair in pages.windows(2) {
                let back = stored(&tables, &query.clone().after(pair[1].previous.clone()));
                prop_assert_eq!(of(&back), of(&pair[0]));
            }
            prop_assert_eq!(&pages[0].previous, &None);
        }
    }
}
