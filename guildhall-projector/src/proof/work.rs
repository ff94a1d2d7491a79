//! One seal after another: what is new is read, indexed, signed, saved and handed over, in that order, so
//! that wherever it is interrupted, nothing that was published is contradicted.

use std::sync::Arc;

use guildhall_core::{
    Append, ChronicleIndexed, Entry, HolderId, Lease, LogFault, NewEntry, NewSeal, Origin,
    Position, SaveSealError, Seals, StoreError, StoredSeal, StoredTile, Timestamp,
};
use guildhall_proof::{LogKeys, Seal, SignedSeal, Signer};

use super::edge::Edge;
use super::error::SealerError;
use super::log::{SealedLog, SealedLogError};
use super::settings::SealerSettings;
use super::sink::{SealSink, SinkError};
use super::streams::{Streams, stated_at};

/// What it takes to seal a log.
pub(crate) struct Work {
    pub(crate) chronicle: Arc<dyn Seals>,
    pub(crate) signer: Arc<dyn Signer>,
    /// The log's keys; where none are given, the signer's at every size.
    pub(crate) keys: Option<LogKeys>,
    pub(crate) sinks: Vec<Arc<dyn SealSink>>,
    pub(crate) settings: SealerSettings,
    pub(crate) holder: HolderId,
    /// Where the last seal left off. It is taken out while it changes, so that what is dropped half way is
    /// loaded again.
    standing: Option<Standing>,
    /// What is indexed and not signed yet.
    prepared: Option<Prepared>,
    /// Whether the last index had to leave out streams, as there were too many.
    is_behind: bool,
}

/// What continues from the last seal.
struct Standing {
    origin: Origin,
    keys: LogKeys,
    last: Option<(StoredSeal, SignedSeal)>,
    edge: Edge,
    streams: Streams,
}

/// Everything in a seal but its signature.
struct Prepared {
    standing: Standing,
    indexed: ChronicleIndexed,
    tiles: Vec<StoredTile>,
}

/// The log as it stands.
pub(crate) struct Look {
    /// Its last seal.
    pub(crate) sealed: Option<SealedLog>,
    /// When that was made.
    pub(crate) sealed_at: Option<Timestamp>,
    /// Where it ends.
    pub(crate) head: Position,
    /// How many entries no seal indexes yet.
    pub(crate) new: u64,
}

impl Standing {
    fn size(&self) -> Option<Position> {
        self.last.as_ref().map(|(stored, _)| stored.size)
    }

    /// How many entries up to `head` no seal indexes, other than the last index itself.
    fn new_entries(&self, head: Position) -> u64 {
        let known = self.streams.tree_size().get() + u64::from(self.last.is_some());
        head.get().saturating_sub(known)
    }
}

impl Work {
    pub(crate) fn new(chronicle: Arc<dyn Seals>, signer: Arc<dyn Signer>) -> Self {
        Self {
            chronicle,
            signer,
            keys: None,
            sinks: Vec::new(),
            settings: SealerSettings::default(),
            holder: HolderId::new(),
            standing: None,
            prepared: None,
            is_behind: false,
        }
    }

    /// Whether the last index left out entries, since it takes no more streams at a time.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Takes or renews the lease.
    pub(crate) async fn hold_lease(&self) -> Result<Lease, StoreError> {
        self.chronicle.hold_seal_lease(self.holder, self.settings.lease_time).await
    }

    /// Forgets what it knows of the log.
    pub(crate) fn forget(&mut self) {
        (self.standing, self.prepared) = (None, None);
    }

    /// Looks at the log, after loading and checking where the last seal left off. None while the log is
    /// empty.
    pub(crate) async fn look(&mut self) -> Result<Option<Look>, SealerError> {
        let before = self.last_size().await?;
        let looked = self.try_look().await;
        self.unless_outrun(before, looked).await
    }

    /// Seals what is new; none where nothing is.
    pub(crate) async fn seal(&mut self) -> Result<Option<SealedLog>, SealerError> {
        let before = self.last_size().await?;
        let sealed = self.try_seal().await;
        self.unless_outrun(before, sealed).await
    }

    async fn last_size(&self) -> Result<Option<Position>, StoreError> {
        Ok(self.chronicle.last_seal().await?.map(|last| last.size))
    }

    /// The outcome, unless somebody sealed meanwhile: a sealer that was frozen until its lease lapsed
    /// compares two moments, and what it finds says nothing about the log.
    async fn unless_outrun<T>(
        &self,
        before: Option<Position>,
        outcome: Result<T, SealerError>,
    ) -> Result<T, SealerError> {
        let Err(error) = outcome else { return outcome };
        let found = self.last_size().await?;
        if error.is_transient() || found == before {
            return Err(error);
        }
        tracing::debug!(%error, "another sealed meanwhile");
        Err(SealerError::Save(SaveSealError::NotTheLast { expected: before, found }))
    }

    async fn try_look(&mut self) -> Result<Option<Look>, SealerError> {
        if self.prepared.is_some() {
            // It has gone on from the last seal, and is to be signed before anything else.
            let head = self.chronicle.head().await?.position;
            return Ok(Some(Look { sealed: None, sealed_at: None, head, new: 1 }));
        }
        let Some(standing) = self.current().await? else { return Ok(None) };
        let head = self.chronicle.head().await?.position;
        let look = Look {
            sealed: standing.last.as_ref().map(|(_, signed)| {
                let edge = Arc::new(standing.edge.clone());
                SealedLog::new(Arc::clone(&self.chronicle), signed.clone(), edge)
            }),
            sealed_at: standing.last.as_ref().map(|(stored, _)| stored.sealed_at),
            head,
            new: standing.new_entries(head),
        };
        self.standing = Some(standing);
        Ok(Some(look))
    }

    async fn try_seal(&mut self) -> Result<Option<SealedLog>, SealerError> {
        let prepared = match self.prepared.take() {
            Some(prepared) => prepared,
            None => {
                let Some(standing) = self.current().await? else { return Ok(None) };
                let head = self.chronicle.head().await?.position;
                if standing.new_entries(head) == 0 {
                    self.standing = Some(standing);
                    return Ok(None);
                }
                self.check_sinks(&standing, head, false).await?;
                self.prepare(standing, head).await?
            }
        };
        self.finish(prepared).await.map(Some)
    }

    /// Where the last seal left off: as it is known, if nobody has sealed since.
    async fn current(&mut self) -> Result<Option<Standing>, SealerError> {
        let last = self.chronicle.last_seal().await?;
        if let Some(standing) = self.standing.take()
            && standing.last.as_ref().map(|(stored, _)| stored) == last.as_ref()
        {
            return Ok(Some(standing));
        }
        let Some(origin) = self.chronicle.origin().await? else { return Ok(None) };
        let keys = match &self.keys {
            Some(keys) => keys.clone(),
            None => LogKeys::single(origin.clone(), self.signer.key().clone())?,
        };
        if *keys.origin() != origin {
            let (found, expected) = (keys.origin().clone(), origin);
            return Err(SealerError::KeysOfOther { found, expected });
        }
        let standing = match last {
            None => {
                let (edge, streams) = (Edge::default(), Streams::empty());
                Standing { origin, keys, last: None, edge, streams }
            }
            Some(stored) => self.load(origin, keys, stored).await?,
        };
        let head = self.chronicle.head().await?.position;
        self.check_sinks(&standing, head, true).await?;
        Ok(Some(standing))
    }

    /// Where a seal left off, which the log has to lead to.
    async fn load(
        &self,
        origin: Origin,
        keys: LogKeys,
        stored: StoredSeal,
    ) -> Result<Standing, SealerError> {
        let size = stored.size;
        let signed = SignedSeal::parse(&stored.note)
            .map_err(|source| SealerError::LastSeal { size, source })?;
        keys.verify(&signed).map_err(|source| SealerError::LastSealRefused { size, source })?;
        if *signed.seal() != (Seal { origin: origin.clone(), size: size.get(), root: stored.root })
        {
            return Err(SealerError::LastSealAltered { size });
        }
        let edge = Edge::load(&*self.chronicle, size.get()).await?;
        if edge.root() != stored.root {
            let (size, sealed, found) = (size.get(), stored.root, edge.root());
            return Err(SealedLogError::Differs { size, sealed, found }.into());
        }
        let stated = stated_at(&*self.chronicle, size).await?;
        let stated = stated.ok_or(SealerError::NoIndex { position: size })?;
        let streams = Streams::load(&*self.chronicle, &stated).await?;
        Ok(Standing { origin, keys, last: Some((stored, signed)), edge, streams })
    }

    /// Checks that the log goes on from what each sink holds. One that cannot say is waited for where
    /// it `must`: at first, when what it was told before may be more than what is here.
    async fn check_sinks(
        &self,
        standing: &Standing,
        head: Position,
        must: bool,
    ) -> Result<(), SealerError> {
        for sink in &self.sinks {
            let held = match sink.held().await {
                Ok(Some(held)) => held,
                Ok(None) => continue,
                Err(error) if !must && !matches!(error, SinkError::Contradicts { .. }) => {
                    tracing::debug!(sink = sink.name(), %error, "the sink does not say what it holds");
                    continue;
                }
                Err(source) => {
                    return Err(SealerError::Sink { sink: sink.name().to_owned(), source });
                }
            };
            self.check_held(standing, head, sink.name(), &held).await?;
        }
        Ok(())
    }

    async fn check_held(
        &self,
        standing: &Standing,
        head: Position,
        sink: &str,
        held: &Seal,
    ) -> Result<(), SealerError> {
        let sink = sink.to_owned();
        if held.origin != standing.origin {
            let (found, expected) = (held.origin.clone(), standing.origin.clone());
            return Err(SealerError::SinkOfOther { sink, found, expected });
        }
        let (held_size, held_root) = (held.size, held.root);
        if held_size > head.get() {
            return Err(SealerError::SinkHoldsMore { sink, held_size, held_root, head });
        }
        let found = if held_size == standing.edge.size() {
            standing.edge.root()
        } else {
            Edge::load(&*self.chronicle, held_size).await?.root()
        };
        if found == held_root {
            Ok(())
        } else {
            Err(SealerError::SinkHoldsOther { sink, held_size, held_root, found })
        }
    }

    /// Reads what is new and appends the index of it. An index that an earlier attempt left at the end
    /// of the log serves as well.
    async fn prepare(
        &mut self,
        mut standing: Standing,
        head: Position,
    ) -> Result<Prepared, SealerError> {
        self.check_key(&standing.keys, head.get() + 1)?;
        let mut tiles = Vec::new();
        let left = match standing.size() {
            Some(size) if size >= head => None,
            _ => stated_at(&*self.chronicle, head).await?,
        };
        let tree_size = standing.streams.tree_size();
        let left = left.filter(|left| tree_size < left.tree_size && left.tree_size < head);
        let aim = left.as_ref().map_or(head, |left| left.tree_size);
        self.read(&mut standing, head, aim, &mut tiles).await?;
        let mut indexed = standing.streams.settle(&*self.chronicle).await?;
        if left.as_ref() != Some(&indexed) {
            if left.is_some() {
                self.read(&mut standing, head, head, &mut tiles).await?;
                indexed = standing.streams.settle(&*self.chronicle).await?;
            }
            let entry = NewEntry::indexed(&indexed, &standing.origin);
            let event_id = entry.event_id;
            let appended = self.chronicle.append(Append::of([entry])).await;
            let appended = appended.map_err(SealerError::Append)?;
            // An append answers for each of its entries.
            let at = appended.first().map_or(head, |appended| appended.position);
            let tree_size = standing.streams.tree_size();
            let last = self.read(&mut standing, at, tree_size, &mut tiles).await?;
            if last.is_none_or(|last| last.event_id != event_id) {
                return Err(SealerError::NoIndex { position: at });
            }
        }
        self.is_behind = standing.streams.grown() >= self.settings.streams.max(1);
        Ok(Prepared { standing, indexed, tiles })
    }

    /// Reads on: the tree as far as `end`, the index as far as `aim` or as many streams as it takes.
    /// Every entry is checked to stand where it must and to be what its leaf hash says. Returns the
    /// last.
    async fn read(
        &self,
        standing: &mut Standing,
        end: Position,
        aim: Position,
        tiles: &mut Vec<StoredTile>,
    ) -> Result<Option<Entry>, SealerError> {
        let Standing { origin, edge, streams, .. } = standing;
        let most = self.settings.streams.max(1);
        let mut last = None;
        let mut at = streams.tree_size();
        loop {
            let is_indexing = streams.tree_size() < aim && streams.grown() < most;
            if !is_indexing {
                at = at.max(Position::try_from(edge.size()).unwrap_or(Position::MAX));
            }
            if at >= end {
                return Ok(last);
            }
            let entries = self.chronicle.read(at, self.settings.read_limit()).await?;
            if entries.is_empty() {
                return Err(SealerError::Changed(LogFault::WentBack { seen: end, head: at }));
            }
            for entry in entries.into_iter().take_while(|entry| entry.position <= end) {
                check(&entry, at, origin)?;
                at = entry.position;
                if at.get() == edge.size() + 1 {
                    edge.append(entry.leaf_hash, tiles);
                }
                let is_next = streams.tree_size().next() == Some(at);
                if is_next && at <= aim && streams.grown() < most {
                    streams.append(&entry)?;
                }
                last = Some(entry);
            }
        }
    }

    /// Signs, saves, and returns what is to be handed over.
    async fn finish(&mut self, prepared: Prepared) -> Result<SealedLog, SealerError> {
        let Prepared { standing, indexed, tiles } = &prepared;
        let (size, root) = (standing.edge.size(), standing.edge.root());
        self.check_key(&standing.keys, size)?;
        if let Lease::Standby { holder, until } = self.hold_lease().await? {
            return Err(SealerError::Standby { holder, until });
        }
        let seal = Seal { origin: standing.origin.clone(), size, root };
        let signed = match SignedSeal::sign(seal, &*self.signer).await {
            Ok(signed) => signed,
            Err(error) => {
                // It is signed another time, and no second index is appended for it.
                self.prepared = Some(prepared);
                return Err(SealerError::Sign(error));
            }
        };
        let stored = StoredSeal {
            size: Position::try_from(size).unwrap_or(Position::MAX),
            root,
            note: signed.to_string(),
            sealed_at: Timestamp::now(),
        };
        let new = NewSeal {
            holder: self.holder,
            after: standing.size(),
            seal: stored.clone(),
            tiles: tiles.clone(),
            streams: standing.streams.to_keep(),
        };
        self.chronicle.save_seal(new).await?;
        let streams = indexed.streams;
        let Prepared { mut standing, .. } = prepared;
        standing.streams.kept(streams);
        standing.last = Some((stored, signed.clone()));
        let edge = Arc::new(standing.edge.clone());
        self.standing = Some(standing);
        Ok(SealedLog::new(Arc::clone(&self.chronicle), signed, edge))
    }

    fn check_key(&self, keys: &LogKeys, size: u64) -> Result<(), SealerError> {
        let key = self.signer.key();
        if keys.keys().iter().any(|known| known.key == *key && known.holds_at(size)) {
            Ok(())
        } else {
            Err(SealerError::KeyMayNotSeal { name: key.name().clone(), size })
        }
    }
}

/// Checks that an entry follows `before`, and is what its leaf hash says.
fn check(entry: &Entry, before: Position, origin: &Origin) -> Result<(), SealerError> {
    let position = entry.position;
    if before.next() != Some(position) {
        let found = position.previous();
        return Err(SealerError::Changed(LogFault::WentBack { seen: before, head: found }));
    }
    let (found, expected) = (entry.leaf_hash, entry.compute_leaf_hash(origin));
    if found == expected {
        Ok(())
    } else {
        Err(SealerError::Changed(LogFault::Altered { position, found, expected }))
    }
}
