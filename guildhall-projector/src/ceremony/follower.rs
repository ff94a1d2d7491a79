//! Following the Ops DB: once its checkpoint has moved, what it moved over is read from the
//! Chronicle and reported.
//!
//! The checkpoint is committed with the rows, so whoever asks after a notice finds what it reports,
//! whichever process projected it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guildhall_core::{
    ChangeQuery, Chronicle, Cursor, DecodedEntry, MAX_PAGE_ROWS, OPS_DB, OpsDb, Position,
    ReadLimit, StoreError, TargetChange, Wakeup,
};
use tokio::time::sleep;

use super::notice::Notice;
use super::subscription::Hub;
use crate::runtime::Runtime;
use crate::telemetry;

/// How many entries are read at once.
const READ_ENTRIES: u64 = 1000;

/// How soon the checkpoint is looked at again while the log is ahead of it; each further look takes
/// twice as long to come, up to the longest.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(200);

#[async_trait]
impl Wakeup for Runtime {
    /// Woken by every batch that this process's projector has committed.
    async fn moved_beyond(&self, position: Position) {
        let mut status = self.watch_status();
        if status.wait_for(|status| status.position > position).await.is_err() {
            // It is gone, and others may project: the Chronicle wakes.
            std::future::pending::<()>().await;
        }
    }
}

/// Reads what the Ops DB has taken in.
pub(super) struct Source {
    pub(super) chronicle: Arc<dyn Chronicle>,
    pub(super) ops_db: Arc<dyn OpsDb>,
}

impl Source {
    /// How far the Ops DB has got.
    pub(super) async fn checkpoint(&self) -> Result<Position, StoreError> {
        let checkpoint = self.ops_db.checkpoint(OPS_DB).await?;
        Ok(checkpoint.map_or(Position::ZERO, |checkpoint| checkpoint.position))
    }

    /// What the first entries after one position and up to another have to tell, and the position
    /// of the last of these entries. Both positions are within the checkpoint.
    pub(super) async fn read(
        &self,
        after: Position,
        through: Position,
    ) -> Result<(Vec<Notice>, Position), StoreError> {
        let wanted = through.get().saturating_sub(after.get()).min(READ_ENTRIES);
        if wanted == 0 {
            return Ok((Vec::new(), after));
        }
        let limit = ReadLimit::entries(usize::try_from(wanted).unwrap_or(usize::MAX));
        let entries = self.chronicle.read_decoded(after, limit).await?;
        let Some(last) = entries.last().map(|entry| entry.position) else {
            return Err(StoreError::transient(
                "following the Ops DB",
                format!("the Chronicle ends at position {after}, the checkpoint is beyond"),
            ));
        };
        let told: Vec<&DecodedEntry> = entries.iter().filter(|e| e.decoded.is_ok()).collect();
        let quarantined = self.quarantined(after, last).await?;
        let sound = told.into_iter().filter(|entry| !quarantined.contains(&entry.position));
        let changed = self.changed(after, last).await?;
        Ok((sound.filter_map(|entry| Notice::of(entry, &changed)).collect(), last))
    }

    /// Which targets changed by the entries after one position and up to another.
    async fn changed(
        &self,
        after: Position,
        through: Position,
    ) -> Result<HashMap<Position, TargetChange>, StoreError> {
        let mut query = ChangeQuery::between(after, through).limit(MAX_PAGE_ROWS);
        let mut found = HashMap::new();
        loop {
            let page = self.ops_db.target_changes(&query).await?;
            found.extend(page.rows.into_iter().map(|row| (row.change.position, row)));
            if page.next.is_none() {
                return Ok(found);
            }
            query = query.after(page.next);
        }
    }

    /// Which entries after one position and up to another were refused.
    async fn quarantined(
        &self,
        after: Position,
        through: Position,
    ) -> Result<HashSet<Position>, StoreError> {
        let mut found = HashSet::new();
        let mut cursor = through.next().map(Cursor::before);
        loop {
            let page = self.ops_db.quarantined(cursor, MAX_PAGE_ROWS).await?;
            let is_past = page.rows.last().is_none_or(|row| row.position <= after);
            found.extend(page.rows.iter().map(|row| row.position).filter(|at| *at > after));
            cursor = page.next.filter(|_| !is_past);
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }
}

/// Reports what the Ops DB takes in.
pub(super) struct Follower {
    pub(super) source: Arc<Source>,
    pub(super) hub: Arc<Hub>,
    pub(super) wakeup: Option<Arc<dyn Wakeup>>,
    pub(super) patience: Duration,
}

/// What one step of the follower found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Where the Ops DB stands.
    pub(super) checkpoint: Position,
    /// How far changes were reported to subscribers.
    pub(super) told: Position,
    /// How many notices.
    pub(super) notices: u64,
    /// How many of them did not fit a subscriber's queue, over all subscribers.
    pub(super) missed: u64,
}

impl Follower {
    /// Where the Ops DB stands: what came before is nobody's news.
    pub(super) async fn begin(&self) -> Result<Position, StoreError> {
        let checkpoint = self.source.checkpoint().await?;
        self.hub.skip_to(checkpoint);
        Ok(checkpoint)
    }

    /// Waits until there is something to report, at most for its patience, and reports a part.
    pub(super) async fn step(&self) -> Result<Step, StoreError> {
        let before = self.hub.position();
        let checkpoint = self.wait_beyond(before).await?;
        if checkpoint <= before {
            if checkpoint < before {
                // The Ops DB was restored from an older copy; what it takes in again is reported again.
                self.hub.publish(&[], checkpoint);
            }
            return Ok(Step { checkpoint, told: checkpoint, notices: 0, missed: 0 });
        }
        if self.hub.skip_to(checkpoint) {
            return Ok(Step { checkpoint, told: checkpoint, notices: 0, missed: 0 });
        }
        let (notices, position) = self.source.read(before, checkpoint).await?;
        let notices: Vec<_> = notices.into_iter().map(Arc::new).collect();
        let told = self.hub.publish(&notices, position);
        telemetry::notices_told(told.notices, told.missed);
        Ok(Step { checkpoint, told: position, notices: told.notices, missed: told.missed })
    }

    /// Where the Ops DB stands, as soon as that is another position than this, or when patience
    /// has run out.
    async fn wait_beyond(&self, position: Position) -> Result<Position, StoreError> {
        let deadline = Instant::now() + self.patience;
        let mut look = FIRST_LOOK;
        loop {
            let checkpoint = self.source.checkpoint().await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if checkpoint != position || left.is_zero() {
                return Ok(checkpoint);
            }
            if look == FIRST_LOOK {
                tokio::select! {
                    () = self.woken(position) => {}
                    // The log grew: the projector is at it, if there is one.
                    head = self.source.chronicle.wait_beyond(position, left) => { head?; }
                }
            } else {
                sleep(FIRST_LOOK).await;
                tokio::select! {
                    () = self.woken(position) => {}
                    () = sleep(look.min(left)) => {}
                }
            }
            look = LONGEST_LOOK.min(look * 2);
        }
    }

    async fn woken(&self, position: Position) {
        match &self.wakeup {
            Some(wakeup) => wakeup.moved_beyond(position).await,
            None => std::future::pending().await,
        }
    }
}
