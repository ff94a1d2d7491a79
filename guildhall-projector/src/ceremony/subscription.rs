//! Telling many subscribers without waiting for any: each has a queue of its own, bounded; what
//! does not fit is counted, and the subscriber learns how many notices that were and where to
//! find them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use guildhall_core::Position;
use tokio::sync::Notify;

use super::notice::{Notice, Topic};

/// What a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Something changed.
    Notice(Arc<Notice>),
    /// It was too slow: what follows comes later.
    Missed(Missed),
}

/// Notices that did not fit into a subscriber's queue. They can be
/// [read again](super::CeremonyOrchestrator::catch_up) between the two positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missed {
    /// How many of the subscriber's topics.
    pub count: u64,
    /// They come after this position.
    pub after: Position,
    /// And up to this one.
    pub through: Position,
}

/// All subscribers, and how far changes were reported to them.
#[derive(Debug)]
pub(super) struct Hub {
    state: Mutex<HubState>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct HubState {
    queues: Vec<Weak<Queue>>,
    position: Position,
    is_closed: bool,
}

#[derive(Debug)]
struct Queue {
    topics: Vec<Topic>,
    state: Mutex<QueueState>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    deliveries: VecDeque<Delivery>,
    is_closed: bool,
}

/// What was delivered, for the counters.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Told {
    pub(super) notices: u64,
    pub(super) missed: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each is whole between any two of its operations.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    /// Takes a notice in; returns whether it fitted.
    fn push(&self, notice: &Arc<Notice>, capacity: usize) -> bool {
        let mut state = lock(&self.state);
        let position = notice.position;
        let fits = state.deliveries.len() < capacity;
        if fits {
            state.deliveries.push_back(Delivery::Notice(Arc::clone(notice)));
        } else if let Some(Delivery::Missed(missed)) = state.deliveries.back_mut() {
            missed.count += 1;
            missed.through = position;
        } else {
            let missed = Missed { count: 1, after: position.previous(), through: position };
            state.deliveries.push_back(Delivery::Missed(missed));
        }
        drop(state);
        self.ready.notify_one();
        fits
    }

    fn close(&self) {
        lock(&self.state).is_closed = true;
        self.ready.notify_one();
    }
}

impl Hub {
    pub(super) fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), capacity: capacity.max(1) }
    }

    /// A subscription to what comes after the position that it names.
    pub(super) fn subscribe(&self, topics: Vec<Topic>) -> Subscription {
        let mut state = lock(&self.state);
        let queue = Arc::new(Queue { topics, state: Mutex::default(), ready: Notify::new() });
        state.queues.retain(|queue| queue.strong_count() > 0);
        if state.is_closed {
            queue.close();
        } else {
            state.queues.push(Arc::downgrade(&queue));
        }
        Subscription { queue, position: state.position }
    }

    /// How many subscribers there are.
    pub(super) fn subscribers(&self) -> usize {
        lock(&self.state).queues.iter().filter(|queue| queue.strong_count() > 0).count()
    }

    /// How far changes were reported to subscribers.
    pub(super) fn position(&self) -> Position {
        lock(&self.state).position
    }

    /// Moves on without telling anything, if nobody listens. Who subscribed to no topic does not.
    pub(super) fn skip_to(&self, position: Position) -> bool {
        let mut state = lock(&self.state);
        let mut queues = state.queues.iter().filter_map(Weak::upgrade);
        let nobody_listens = queues.all(|queue| queue.topics.is_empty());
        if nobody_listens {
            state.position = position;
        }
        nobody_listens
    }

    /// Publishes what the entries up to `position` changed. It never waits for a subscriber.
    pub(super) fn publish(&self, notices: &[Arc<Notice>], position: Position) -> Told {
        let mut state = lock(&self.state);
        let mut told = Told { notices: notices.len() as u64, missed: 0 };
        state.queues.retain(|queue| queue.strong_count() > 0);
        for queue in state.queues.iter().filter_map(Weak::upgrade) {
            for notice in notices {
                if queue.topics.iter().any(|topic| topic.covers(notice))
                    && !queue.push(notice, self.capacity)
                {
                    told.missed += 1;
                }
            }
        }
        state.position = position;
        told
    }

    /// Ends every subscription, once its queue is empty.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        for queue in state.queues.drain(..).filter_map(|queue| queue.upgrade()) {
            queue.close();
        }
    }
}

/// A subscriber's end; dropping it unsubscribes.
#[derive(Debug)]
#[must_use = "dropping a subscription unsubscribes"]
pub struct Subscription {
    queue: Arc<Queue>,
    position: Position,
}

impl Subscription {
    /// Where it begins: every notice of its topics beyond this position is delivered, or counted
    /// as missed.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The next delivery, in the order of positions; nothing once the orchestrator has stopped.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            {
                let mut state = lock(&self.queue.state);
                if let Some(delivery) = state.deliveries.pop_front() {
                    return Some(delivery);
                }
                if state.is_closed {
                    return None;
                }
            }
            // A push between the look and the wait leaves its permit.
            self.queue.ready.notified().await;
        }
    }

    /// What is there already, without waiting.
    pub fn try_next(&mut self) -> Option<Delivery> {
        lock(&self.queue.state).deliveries.pop_front()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use guildhall_core::{ArtifactId, Outcome, Timestamp};

    use super::*;
    use crate::ceremony::notice::Change;

    fn notice(position: u32, artifact_id: ArtifactId) -> Arc<Notice> {
        let (target, verifier) = (Some("eu".to_owned()), "scanner".to_owned());
        let change = Change::VerificationRecorded { target, verifier, outcome: Outcome::Passed };
        let position = Position::new(position);
        Arc::new(Notice { position, artifact_id, recorded_at: Timestamp::MIN, change })
    }

    fn is_at(delivery: Option<Delivery>, expected: u64) -> bool {
        matches!(delivery, Some(Delivery::Notice(notice)) if notice.position.get() == expected)
    }

    #[tokio::test]
    async fn a_full_queue_counts_what_its_topics_miss_and_where() {
        let (one, other) = (ArtifactId::new(), ArtifactId::new());
        let hub = Hub::new(2);
        let mut slow = hub.subscribe(vec![Topic::PostureOf(one)]);
        let mut deaf = hub.subscribe(vec![Topic::AllCeremonies]);
        for position in 1..=9 {
            let of = if position % 2 == 1 { one } else { other };
            let told = hub.publish(&[notice(position, of)], Position::new(position));
            assert_eq!(told.notices, 1);
        }
        assert!(is_at(slow.next().await, 1));
        // There is room again: what comes now comes after what was missed.
        hub.publish(&[notice(11, one)], Position::new(11));
        assert!(is_at(slow.next().await, 3));
        let missed = Missed { count: 4, after: Position::new(4), through: Position::new(11) };
        assert_eq!(slow.next().await, Some(Delivery::Missed(missed)));
        hub.publish(&[notice(13, one)], Position::new(13));
        assert!(is_at(slow.next().await, 13));
        assert_eq!((slow.try_next(), deaf.try_next()), (None, None));
        assert!(lock(&slow.queue.state).deliveries.capacity() < 16, "memory is bounded");
    }

    #[tokio::test]
    async fn a_subscription_says_where_it_begins_and_ends_with_the_hub() {
        let hub = Hub::new(10);
        assert!(hub.skip_to(Position::new(5)));
        let none = hub.subscribe(Vec::new());
        assert!(hub.skip_to(Position::new(5)), "nobody listens to anything");
        assert_eq!(hub.subscribers(), 1);
        drop(none);
        let mut subscription = hub.subscribe(vec![Topic::AllPostures]);
        assert_eq!(subscription.position(), Position::new(5));
        assert!(!hub.skip_to(Position::new(6)), "somebody listens");
        hub.publish(&[notice(6, ArtifactId::new())], Position::new(6));
        hub.close();
        assert!(is_at(subscription.next().await, 6));
        assert_eq!(subscription.next().await, None);
        assert_eq!(hub.subscribe(vec![Topic::AllPostures]).next().await, None);
        drop(subscription);
        assert_eq!(hub.subscribers(), 0);
    }
}
