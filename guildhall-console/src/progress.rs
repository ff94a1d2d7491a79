//! For how long the checkpoint has stood still.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use guildhall_core::Position;
use tokio::time::Instant;

/// Since when the checkpoint has stood where it stands with entries to apply, as far as was looked.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    seen: Mutex<Option<(Position, Instant)>>,
}

impl Progress {
    /// For how long, as of now. Where all is applied nothing stands still, and what comes next has
    /// its time.
    pub(crate) fn still_for(&self, position: Position, lag: u64, now: Instant) -> Duration {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let since = seen.filter(|(at, _)| *at == position).map_or(now, |(_, since)| since);
        *seen = (lag > 0).then_some((position, since));
        seen.map_or(Duration::ZERO, |(_, since)| now.duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_checkpoint_with_entries_to_apply_stands_still() {
        let (progress, began) = (Progress::default(), Instant::now());
        for (second, position, lag, still) in [
            (0, 5, 0, 0),
            // An hour of quiet is not a standstill, nor is the moment after it.
            (3600, 5, 0, 0),
            (7200, 5, 1, 0),
            (7210, 5, 3, 10),
            (7220, 6, 2, 0),
            (7225, 6, 1, 5),
            (7230, 7, 0, 0),
            (7240, 7, 1, 0),
            // Restored from an older copy.
            (7250, 6, 1, 0),
            (7251, 6, 1, 1),
        ] {
            let now = began + Duration::from_secs(second);
            let found = progress.still_for(Position::new(position), lag, now);
            assert_eq!(found, Duration::from_secs(still), "after {second} s");
        }
    }
}
