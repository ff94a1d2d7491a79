//! No event of tomorrow: what a time is compared with before it is recorded.

use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, EventKind};
use crate::ids::{EventId, StreamId};
use crate::time::Timestamp;

/// How much later than now a time may be that is recorded, unless set otherwise: clocks differ.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Tells what time it is, and how much later than that the time of an event may be.
///
/// ```
/// use std::time::Duration;
/// use guildhall_core::Timestamp;
/// use guildhall_core::command::Clock;
///
/// let noon: Timestamp = "2026-11-23T12:00:00Z".parse()?;
/// let clock = Clock::from_fn(move || noon).tolerating(Duration::from_secs(90));
/// assert_eq!(clock.limit().to_string(), "2026-11-23T12:01:30.000000Z");
/// # Ok::<(), guildhall_core::TimestampError>(())
/// ```
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    tolerance: Duration,
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Clock").field("tolerance", &self.tolerance).finish_non_exhaustive()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// This host's clock, with [`TOLERANCE`].
    pub fn system() -> Self {
        Self::from_fn(crate::time::now)
    }

    /// A clock that tells the time in this way, with [`TOLERANCE`].
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), tolerance: TOLERANCE }
    }

    /// The same clock, with this tolerance.
    #[must_use]
    pub fn tolerating(self, tolerance: Duration) -> Self {
        Self { tolerance, ..self }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// The latest time that an event may have now.
    pub fn limit(&self) -> Timestamp {
        let micros = i64::try_from(self.tolerance.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.now().as_micros().saturating_add(micros))
            .unwrap_or(Timestamp::MAX)
    }
}

/// A time that is later than now and a tolerance: a mistyped year, a clock that is wrong. Once in a
/// chain, it would refuse (`CC07`) all that truly happens until then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{field} of {} {event_id} in stream {stream} is {found}, and nothing after {limit} is recorded \
     now", .kind.as_str()
)]
pub struct InFuture {
    /// The event's id.
    pub event_id: EventId,
    /// What it is.
    pub kind: EventKind,
    /// The artifact's or accord's stream.
    pub stream: StreamId,
    /// Which time: a field of `data`, or `time`, the entry's own.
    pub field: &'static str,
    /// What it is.
    pub found: Timestamp,
    /// The latest that is recorded now.
    pub limit: Timestamp,
}

/// When an event says that it happened; none for one that has no time but its entry's. An accord
/// says from when it is in effect, which may well be later than it is bound.
pub(super) fn happened_at(event: &Event) -> Option<(&'static str, Timestamp)> {
    match event {
        Event::CustodyTransitioned(event) => Some(("occurred_at", event.occurred_at)),
        Event::DeploymentObserved(event) => Some(("observed_at", event.observed_at)),
        Event::VerificationRecorded(event) => Some(("verified_at", event.verified_at)),
        Event::AccordBound(_) | Event::ArtifactRegistered(_) | Event::ArtifactRevised(_) => None,
    }
}

/// Whether an event, whose entry may be given a time, says that it happened before this limit.
pub(super) fn check_time(
    event_id: EventId,
    event: &Event,
    recorded_at: Option<Timestamp>,
    limit: Timestamp,
) -> Result<(), InFuture> {
    let times = [happened_at(event), recorded_at.map(|at| ("time", at))];
    match times.into_iter().flatten().find(|(_, found)| *found > limit) {
        Some((field, found)) => {
            let (kind, stream) = (event.kind(), event.stream());
            Err(InFuture { event_id, kind, stream, field, found, limit })
        }
        None => Ok(()),
    }
}
