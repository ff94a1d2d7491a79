//! What is known of the accords, artifacts and targets that entries touch.

use std::collections::{HashMap, HashSet};

use super::violation::FoldError;
use crate::chronicle::DecodedEntry;
use crate::cid::Cid;
use crate::custody::CustodyPolicy;
use crate::event::{Decoded, Event};
use crate::ids::{AccordId, ArtifactId, Position, Revision};
use crate::invariant::{ArtifactHead, Context};
use crate::ops::Health;
use crate::time::Timestamp;

/// What the next observation of a target is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetHead {
    /// What should run there.
    pub desired_cid: Cid,
    /// What does; none where nothing was seen.
    pub observed_cid: Option<Cid>,
    /// The health of its row.
    pub health: Health,
    /// Since when.
    pub health_since: Timestamp,
    /// The time of its latest observation.
    pub observed_at: Timestamp,
}

impl TargetHead {
    /// Whether both say the same of what runs, whenever that was seen.
    pub(super) fn shows_what(self, other: Self) -> bool {
        let shown = |head: Self| (head.health, head.desired_cid, head.observed_cid);
        shown(self) == shown(other)
    }
}

/// What has to be loaded before a batch can be folded; each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Whether these accords exist.
    pub accords: Vec<AccordId>,
    /// The heads of these artifacts.
    pub artifacts: Vec<ArtifactId>,
    /// The heads of these targets.
    pub targets: Vec<(ArtifactId, Box<str>)>,
}

impl Keys {
    /// Whether nothing has to be loaded.
    pub fn is_empty(&self) -> bool {
        self.accords.is_empty() && self.artifacts.is_empty() && self.targets.is_empty()
    }
}

/// Where a row stands in the changes that were not taken yet: in the `round` in which it was put
/// there. In a later round it means nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slot {
    round: u64,
    place: Place,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Place {
    #[default]
    Nowhere,
    Inserted(usize),
    Updated(usize),
}

/// A slot that the changes can read and set.
pub(super) struct SlotMut<'h> {
    round: u64,
    slot: &'h mut Slot,
}

impl SlotMut<'_> {
    pub(super) fn get(&self) -> Place {
        if self.slot.round == self.round { self.slot.place } else { Place::Nowhere }
    }

    pub(super) fn set(&mut self, place: Place) {
        *self.slot = Slot { round: self.round, place };
    }
}

#[derive(Debug)]
struct Artifact {
    head: ArtifactHead,
    /// The latest.
    revision: Revision,
    slot: Slot,
    /// Whether a target that is not listed has no row: the artifact was met before its first.
    has_all_targets: bool,
    /// In the order of their names: most artifacts have few.
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    name: Box<str>,
    head: Option<TargetHead>,
    slot: Slot,
}

impl Artifact {
    /// Where a target is, or belongs.
    fn find(&self, target: &str) -> Result<usize, usize> {
        self.targets.binary_search_by(|known| (*known.name).cmp(target))
    }

    fn knows(&self, target: &str) -> bool {
        self.has_all_targets || self.find(target).is_ok()
    }
}

/// What is known; a bounded cache of what the tables hold, as the entries folded so far leave it.
#[derive(Debug, Default)]
pub struct Heads {
    round: u64,
    /// Whether what is not listed does not exist: the tables were empty at the start.
    is_complete: bool,
    /// The newest position that wrote a row which was loaded.
    newest_loaded: Position,
    accords: HashMap<AccordId, bool>,
    artifacts: HashMap<ArtifactId, Option<Artifact>>,
    weight_bytes: usize,
}

/// What a listed accord, artifact and target take in memory, about (keys, values and what the maps
/// and the allocator add; on x86-64).
const ACCORD_BYTES: usize = 40;
const ARTIFACT_BYTES: usize = 328;
const TARGET_BYTES: usize = 208;

impl Heads {
    pub(super) fn complete() -> Self {
        Self { is_complete: true, ..Self::default() }
    }

    /// Tells the position that wrote an accord's row; none where it does not exist.
    pub fn know_accord(&mut self, id: AccordId, written: Option<Position>) {
        self.loaded(written);
        if self.accords.insert(id, written.is_some()).is_none() {
            self.weight_bytes += ACCORD_BYTES;
        }
    }

    /// Tells the head of an artifact, its latest revision, and the position that last wrote its row;
    /// none where it does not exist.
    pub fn know_artifact(
        &mut self,
        id: ArtifactId,
        row: Option<(Position, Revision, ArtifactHead)>,
    ) {
        self.loaded(row.as_ref().map(|(written, ..)| *written));
        let artifact = row.map(|(_, revision, head)| Artifact {
            head,
            revision,
            slot: Slot::default(),
            has_all_targets: false,
            targets: Vec::new(),
        });
        if self.artifacts.insert(id, artifact).is_none() {
            self.weight_bytes += ARTIFACT_BYTES;
        }
    }

    /// States the head of a target of an artifact that was stated before, and the position that last
    /// wrote its row; none where it has no row.
    pub fn know_target(
        &mut self,
        id: ArtifactId,
        target: Box<str>,
        row: Option<(Position, TargetHead)>,
    ) {
        let (written, head) = row.unzip();
        self.loaded(written);
        if let Some(Some(artifact)) = self.artifacts.get_mut(&id) {
            match artifact.find(&target) {
                Ok(at) => artifact.targets[at].head = head,
                Err(at) => {
                    self.weight_bytes += TARGET_BYTES + target.len();
                    let slot = Slot::default();
                    artifact.targets.insert(at, Target { name: target, head, slot });
                }
            }
        }
    }

    fn loaded(&mut self, written: Option<Position>) {
        self.newest_loaded = self.newest_loaded.max(written.unwrap_or(Position::ZERO));
    }

    /// Whether the rows that were loaded are older than the entry at `position`, which is to be
    /// folded into them.
    pub(super) fn require_older(&self, position: Position) -> Result<(), FoldError> {
        let written = self.newest_loaded;
        if written < position { Ok(()) } else { Err(FoldError::RowAhead { written, position }) }
    }

    pub(super) fn weight_bytes(&self) -> usize {
        self.weight_bytes
    }

    /// From here on every slot means nothing.
    pub(super) fn start_anew(&mut self) {
        self.round += 1;
    }

    pub(super) fn missing(&self, entries: &[DecodedEntry]) -> Keys {
        let mut keys = Keys::default();
        if self.is_complete {
            return keys;
        }
        let mut accords = HashSet::new();
        let mut artifacts = HashSet::new();
        let mut targets = HashSet::new();
        for entry in entries {
            let Ok(Decoded::Event(event)) = &entry.decoded else { continue };
            if let Some(id) = accord_of(event)
                && !self.accords.contains_key(&id)
                && accords.insert(id)
            {
                keys.accords.push(id);
            }
            let Some(id) = artifact_of(event) else { continue };
            let known = self.artifacts.get(&id);
            if known.is_none() && artifacts.insert(id) {
                keys.artifacts.push(id);
            }
            if let Event::DeploymentObserved(event) = event {
                let target = event.target.as_str();
                let is_known = known.is_some_and(|known| {
                    known.as_ref().is_none_or(|artifact| artifact.knows(target))
                });
                if !is_known && targets.insert((id, target)) {
                    keys.targets.push((id, target.into()));
                }
            }
        }
        keys
    }

    pub(super) fn require(&self, event: &Event, position: Position) -> Result<(), FoldError> {
        if self.is_complete {
            return Ok(());
        }
        let has_accord = accord_of(event).is_none_or(|id| self.accords.contains_key(&id));
        let has_artifact =
            artifact_of(event).is_none_or(|id| match (self.artifacts.get(&id), event) {
                (None, _) => false,
                (Some(Some(artifact)), Event::DeploymentObserved(event)) => {
                    artifact.knows(&event.target)
                }
                _ => true,
            });
        if has_accord && has_artifact { Ok(()) } else { Err(FoldError::HeadNotLoaded { position }) }
    }

    pub(super) fn context<'h>(&'h self, event: &Event, policy: &'h CustodyPolicy) -> Context<'h> {
        let accord = accord_of(event).and_then(|id| self.accords.get(&id));
        let artifact = artifact_of(event).and_then(|id| self.artifacts.get(&id)?.as_ref());
        Context {
            policy,
            accord_exists: accord.copied().unwrap_or(false),
            artifact: artifact.map(|artifact| &artifact.head),
        }
    }

    /// Puts an accord that was just bound.
    pub(super) fn insert_accord(&mut self, id: AccordId) {
        if self.accords.insert(id, true).is_none() {
            self.weight_bytes += ACCORD_BYTES;
        }
    }

    /// Puts an artifact that was just registered, whose row is the `place`-th inserted.
    pub(super) fn insert_artifact(&mut self, id: ArtifactId, head: ArtifactHead, place: usize) {
        let slot = Slot { round: self.round, place: Place::Inserted(place) };
        let artifact = Artifact {
            head,
            revision: Revision::FIRST,
            slot,
            has_all_targets: true,
            targets: Vec::new(),
        };
        if self.artifacts.insert(id, Some(artifact)).is_none() {
            self.weight_bytes += ARTIFACT_BYTES;
        }
    }

    pub(super) fn artifact(&self, id: ArtifactId) -> Option<&ArtifactHead> {
        self.artifacts.get(&id)?.as_ref().map(|artifact| &artifact.head)
    }

    pub(super) fn artifact_mut(&mut self, id: ArtifactId) -> Option<KnownArtifact<'_>> {
        let artifact = self.artifacts.get_mut(&id)?.as_mut()?;
        let slot = SlotMut { round: self.round, slot: &mut artifact.slot };
        Some(KnownArtifact { head: &mut artifact.head, revision: &mut artifact.revision, slot })
    }

    pub(super) fn target_mut(&mut self, id: ArtifactId, target: &str) -> Option<KnownTarget<'_>> {
        let artifact = self.artifacts.get_mut(&id)?.as_mut()?;
        let at = artifact.find(target).unwrap_or_else(|at| {
            self.weight_bytes += TARGET_BYTES + target.len();
            let unknown = Target { name: target.into(), head: None, slot: Slot::default() };
            artifact.targets.insert(at, unknown);
            at
        });
        let Target { head, slot, .. } = &mut artifact.targets[at];
        Some(KnownTarget { head, slot: SlotMut { round: self.round, slot } })
    }
}

pub(super) struct KnownArtifact<'h> {
    pub(super) head: &'h mut ArtifactHead,
    pub(super) revision: &'h mut Revision,
    pub(super) slot: SlotMut<'h>,
}

pub(super) struct KnownTarget<'h> {
    pub(super) head: &'h mut Option<TargetHead>,
    pub(super) slot: SlotMut<'h>,
}

/// The accord whose existence decides about an event.
fn accord_of(event: &Event) -> Option<AccordId> {
    match event {
        Event::AccordBound(event) => Some(event.accord_id),
        Event::ArtifactRegistered(event) => Some(event.accord_id),
        Event::ArtifactRevised(_)
        | Event::CustodyTransitioned(_)
        | Event::DeploymentObserved(_)
        | Event::VerificationRecorded(_) => None,
    }
}

/// The artifact that an event is about.
fn artifact_of(event: &Event) -> Option<ArtifactId> {
    match event {
        Event::AccordBound(_) => None,
        Event::ArtifactRegistered(event) => Some(event.artifact_id),
        Event::ArtifactRevised(event) => Some(event.artifact_id),
        Event::CustodyTransitioned(event) => Some(event.artifact_id),
        Event::DeploymentObserved(event) => Some(event.artifact_id),
        Event::VerificationRecorded(event) => Some(event.artifact_id),
    }
}
