//! Where the streams end, entry by entry: versions, the index entries, the stored records.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use guildhall_core::{ChronicleIndexed, Position, StreamId, TreeHash, Version};

use super::report::{VerifyFinding, VerifyReport};
use crate::index::{Bucket, StreamIndex, StreamRecord, bucket_of};

/// How many entries back an index entry may look that was not [announced](StreamsSeen::announce).
const JOURNAL: usize = 1 << 16;

/// What an entry changed.
#[derive(Debug, Clone, Copy)]
struct Change {
    position: Position,
    bucket: u16,
    stream: StreamId,
    before: Option<StreamRecord>,
}

/// The streams as the entries so far leave them.
#[derive(Debug)]
pub(super) struct StreamsSeen {
    /// By bucket, in the order of their ids.
    buckets: Vec<Vec<StreamRecord>>,
    count: u64,
    index: StreamIndex,
    /// Which buckets the index has not been told of.
    changed: HashSet<u16>,
    journal: VecDeque<Change>,
    /// The last entry so far.
    position: Position,
    /// How many entries each index entry to come speaks of, as it was announced.
    sizes: BTreeMap<Position, Position>,
    /// After which entries the index is wanted.
    announced: BTreeSet<Position>,
    /// What it was after those, and how many streams there were.
    indexed: BTreeMap<Position, (TreeHash, u64)>,
    /// The size of the last stored seal.
    last_seal: Option<Position>,
    /// How many entries that seal's index speaks of, where that is still to come.
    sealed_at: Option<Position>,
    /// What the streams were at the index entry that it ends with.
    sealed: Option<Sealed>,
}

/// The streams as they were, by what has changed since.
#[derive(Debug)]
struct Sealed {
    before: HashMap<StreamId, Option<StreamRecord>>,
    count: u64,
    found: u64,
}

impl Default for StreamsSeen {
    /// Of a log without entries.
    fn default() -> Self {
        Self {
            buckets: vec![Vec::new(); 1 << 16],
            count: 0,
            index: StreamIndex::default(),
            changed: HashSet::new(),
            journal: VecDeque::new(),
            position: Position::ZERO,
            sizes: BTreeMap::new(),
            announced: BTreeSet::new(),
            indexed: BTreeMap::new(),
            last_seal: None,
            sealed_at: None,
            sealed: None,
        }
    }
}

impl StreamsSeen {
    /// An index entry at `position` will speak of the first `tree_size` entries. What is not announced
    /// is looked for among the latest changes.
    pub(super) fn announce(&mut self, position: Position, tree_size: Position) {
        self.sizes.insert(position, tree_size);
        if tree_size > self.position {
            self.announced.insert(tree_size);
        }
        if self.last_seal == Some(position) {
            self.sealed_with(position);
        }
    }

    /// The last seal has this size; its index entry is still to come.
    pub(super) fn sealed_with(&mut self, size: Position) {
        self.last_seal = Some(size);
        self.sealed = None;
        self.sealed_at = self.sizes.get(&size).copied().filter(|at| *at > self.position);
    }

    /// All up to this entry was taken.
    pub(super) fn reached(&mut self, position: Position) {
        self.position = position;
        if self.announced.remove(&position) {
            self.bring_up(&HashMap::new());
            self.indexed.insert(position, (self.index.root(), self.count));
        }
        if self.sealed_at == Some(position) {
            self.sealed = Some(Sealed { before: HashMap::new(), count: self.count, found: 0 });
        }
    }

    /// Brings the index up to what the streams are, but for those that were something else before.
    fn bring_up(&mut self, before: &HashMap<StreamId, (u16, Option<StreamRecord>)>) {
        let later: HashSet<u16> = before.values().map(|(bucket, _)| *bucket).collect();
        for bucket in std::mem::take(&mut self.changed) {
            let mut records = self.buckets[usize::from(bucket)].clone();
            if later.contains(&bucket) {
                for (stream, (_, before)) in before.iter().filter(|(_, it)| it.0 == bucket) {
                    records.retain(|record| record.stream != *stream);
                    records.extend(*before);
                }
                records.sort_unstable_by_key(|record| record.stream);
            }
            // They are sorted, each in its bucket.
            if let Ok(bucket) = Bucket::new(bucket, records) {
                self.index.set(&bucket);
            }
        }
        self.changed.extend(later);
    }

    fn get(&self, bucket: u16, stream: StreamId) -> Option<StreamRecord> {
        let records = &self.buckets[usize::from(bucket)];
        let at = records.binary_search_by_key(&stream, |record| record.stream).ok()?;
        Some(records[at])
    }

    /// Takes an entry's place in its stream. One that was altered may name any; where it does not fit, it
    /// is not an entry of that stream.
    pub(super) fn take(
        &mut self,
        position: Position,
        bucket: u16,
        record: StreamRecord,
        is_altered: bool,
        report: &mut VerifyReport,
    ) {
        let records = &mut self.buckets[usize::from(bucket)];
        let at = records.binary_search_by_key(&record.stream, |known| known.stream);
        let before = at.ok().map(|at| records[at]);
        let last = before.map_or(Version::ZERO, |known| known.version);
        let expected = last.next().unwrap_or(Version::MAX);
        if record.version != expected {
            if is_altered {
                return;
            }
            let (stream, found) = (record.stream, record.version);
            report.add(VerifyFinding::Version { position, stream, found, expected });
        }
        match at {
            Ok(at) => records[at] = record,
            Err(at) => {
                records.insert(at, record);
                self.count += 1;
            }
        }
        self.changed.insert(bucket);
        if let Some(sealed) = &mut self.sealed {
            sealed.before.entry(record.stream).or_insert(before);
        }
        if self.journal.len() == JOURNAL {
            self.journal.pop_front();
        }
        self.journal.push_back(Change { position, bucket, stream: record.stream, before });
    }

    /// Whether an index entry at this position says what the streams were; none where that was too long
    /// ago to be looked at.
    pub(super) fn check(
        &mut self,
        position: Position,
        indexed: &ChronicleIndexed,
    ) -> Option<Result<(), String>> {
        let ChronicleIndexed { tree_size, index_root, streams } = indexed;
        self.sizes.remove(&position);
        if *tree_size >= position {
            let reason = format!("it speaks of {tree_size} entries, which were not there yet");
            return Some(Err(reason));
        }
        let (root, count) = match self.indexed.remove(tree_size) {
            Some(known) => known,
            None => self.look_back(position, *tree_size)?,
        };
        Some(if count != *streams {
            Err(format!("it says that there are {streams} streams, and there are {count}"))
        } else if root != *index_root {
            Err(format!("its root is {index_root}, and the streams make {root}"))
        } else {
            Ok(())
        })
    }

    /// The index and the number of streams as they were after so many entries.
    fn look_back(&mut self, position: Position, tree_size: Position) -> Option<(TreeHash, u64)> {
        if self.journal.front().is_some_and(|first| first.position.previous() > tree_size) {
            return None;
        }
        // The first thing that each stream was changed from, after those entries.
        let mut before: HashMap<StreamId, (u16, Option<StreamRecord>)> = HashMap::new();
        for change in self.journal.iter().rev().take_while(|it| it.position > tree_size) {
            before.insert(change.stream, (change.bucket, change.before));
        }
        let new = before.values().filter(|(_, before)| before.is_none()).count() as u64;
        let count = self.count - new;
        self.bring_up(&before);
        if self.last_seal == Some(position) && self.sealed.is_none() {
            let before = before.into_iter().map(|(stream, (_, before))| (stream, before));
            self.sealed = Some(Sealed { before: before.collect(), count, found: 0 });
        }
        Some((self.index.root(), count))
    }

    /// Whether what the streams were at the last seal is known.
    pub(super) const fn knows_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// Compares a record with what the stream was at the last seal.
    pub(super) fn compare(&mut self, bucket: u16, record: StreamRecord, report: &mut VerifyReport) {
        let stream = record.stream;
        let known = self.get(bucket_of(stream), stream);
        let Some(sealed) = &mut self.sealed else { return };
        sealed.found += 1;
        let expected = sealed.before.get(&stream).copied().unwrap_or(known);
        if expected != Some(record) || bucket != bucket_of(stream) {
            let expected = expected.map(|record| record.version);
            report.add(VerifyFinding::Stream { stream, found: record.version, expected });
        }
    }

    /// All records were compared.
    pub(super) fn ended(&self, report: &mut VerifyReport) {
        let Some(sealed) = &self.sealed else { return };
        if sealed.found < sealed.count {
            let missing = sealed.count - sealed.found;
            report.add(VerifyFinding::StreamsMissing { missing });
        }
    }
}
