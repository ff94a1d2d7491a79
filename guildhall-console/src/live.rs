//! `/events`: what changes, as it changes, in server-sent events.
//!
//! | event | data |
//! | --- | --- |
//! | `moved` | the position that the Ops DB has reached; first of all, then after every change, at most five times a second |
//! | `ceremony`, `custody`, `posture` | a notice of these topics |
//! | `here` | nothing: said where nothing else was for ten seconds, so that a connection that died is noticed |
//! | `missed` | notices that were not sent: how many where that is known, after which position and through which |
//!
//! Each event's id is its position, so that `Last-Event-ID` resumes after the last that came: a notice
//! may come twice, and none is lost unseen. An id that is not a position, or one that is not reached, resumes
//! nothing: the stream begins now, and its first `moved` says where that is.
//!
//! A stream ends after ten minutes, or when nobody takes what it says for two; browsers resume by
//! themselves. So nobody keeps a place among the streams for long without using it, whoever serves
//! the router.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use guildhall_core::Position;
use guildhall_projector::RuntimeError;
use guildhall_projector::ceremony::{
    CeremonyOrchestrator, Delivery, Missed, Notice, Subscription, Topic,
};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::app::Shared;
use crate::error::RequestError;
use crate::params::Params;

/// How often a silent stream says that it is there; scripts see events and no comments.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The least time between two `moved`.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a stream lives.
const MAX_AGE: Duration = Duration::from_secs(600);

/// How many events may wait for a client, and for how long the next one does.
const UNREAD: usize = 8;
const UNREAD_FOR: Duration = Duration::from_secs(30);

/// How far back a stream is resumed, in entries.
const MAX_RESUMED: u64 = 20_000;

pub(crate) async fn events(
    State(app): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let params = Params::parse(query.as_deref());
    let topics = if params.has("topic") {
        params.parsed::<Topic>("topic")?
    } else {
        Topic::EVERYTHING.to_vec()
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let permit = Arc::clone(&app.streams).try_acquire_owned();
    let permit = permit.map_err(|_| RequestError::Crowded)?;
    let orchestrator = app.orchestrator.clone();
    // Where the orchestrator cannot begin, the Ops DB cannot be read either.
    let subscribed = timeout(HEARTBEAT, orchestrator.subscribe(topics.clone())).await;
    let Ok(Ok(subscription)) = subscribed else { return Err(RequestError::NotLive) };
    let mut stream = Stream {
        position: subscription.position(),
        moved: None,
        may_move: Instant::now(),
        ready: VecDeque::from([Bytes::from_static(b"retry: 1000\n\n")]),
        past: None,
        orchestrator,
        subscription,
        topics,
        _permit: permit,
    };
    stream.resume(last);
    let (sender, receiver) = mpsc::channel(UNREAD);
    tokio::spawn(hand_over(stream, sender));
    let body = stream::unfold(receiver, |mut receiver| async move {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(bytes), receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that buffer would hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Hands over what a stream sends until it ends or is old, or the client is gone or does not read.
/// It is not part of the body, which nobody may be asking for more.
async fn hand_over(mut stream: Stream, sender: mpsc::Sender<Bytes>) {
    let tells = async {
        while let Some(bytes) = stream.next().await {
            if sender.send_timeout(bytes, UNREAD_FOR).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = tells => {}
        () = sender.closed() => {}
        () = sleep(MAX_AGE) => {}
    }
}

struct Stream {
    orchestrator: CeremonyOrchestrator,
    subscription: Subscription,
    topics: Vec<Topic>,
    /// Where the subscription begins.
    position: Position,
    /// The position that was last reported.
    moved: Option<Position>,
    /// When the next may be reported.
    may_move: Instant,
    /// What is to be sent before anything else.
    ready: VecDeque<Bytes>,
    /// From where the past is still to be sent.
    past: Option<Position>,
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    /// Goes back to what came after the last event that the client has seen.
    fn resume(&mut self, last: Option<Position>) {
        let Some(last) = last.filter(|last| *last < self.position) else { return };
        if self.topics.is_empty() {
            return;
        }
        let from = self.position.saturating_sub(MAX_RESUMED).max(last);
        if from > last {
            self.ready.push_back(missed(None, last, from));
        }
        self.past = Some(from);
    }

    /// What to send next; nothing once the orchestrator has stopped.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if let Some(after) = self.past {
                self.tell_past(after).await;
                continue;
            }
            let moves = async {
                if let Some(told) = self.moved {
                    self.orchestrator.moved_from(told).await?;
                }
                sleep_until(self.may_move).await;
                Ok::<_, RuntimeError>(())
            };
            tokio::select! {
                biased;
                delivery = self.subscription.next(), if !self.topics.is_empty() => {
                    let delivery = delivery?;
                    self.deliver(delivery);
                }
                moved = moves => {
                    moved.ok()?;
                    self.tell_moved();
                }
                () = sleep(HEARTBEAT) => {
                    return Some(Bytes::from_static(b"event: here\ndata: {}\n\n"));
                }
            }
        }
    }

    async fn tell_past(&mut self, after: Position) {
        match self.orchestrator.catch_up(&self.topics, after, self.position).await {
            Ok(past) => {
                let told: Vec<_> = past.notices.iter().map(told).collect();
                self.ready.extend(told);
                self.past = (!past.is_done).then_some(past.position);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the past is not sent");
                self.ready.push_back(missed(None, after, self.position));
                self.past = None;
            }
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Notice(notice) if notice.position <= self.position => {}
            Delivery::Notice(notice) => self.ready.push_back(told(&notice)),
            Delivery::Missed(Missed { count, after, through, .. }) => {
                self.ready.push_back(missed(Some(count), after, through));
            }
        }
    }

    /// Reports where the Ops DB stands, after everything that was sent up to there: whoever resumes
    /// from this position has seen that.
    fn tell_moved(&mut self) {
        let position = self.orchestrator.status().position;
        while let Some(delivery) = self.subscription.try_next() {
            self.deliver(delivery);
        }
        self.moved = Some(position);
        self.may_move = Instant::now() + PAUSE;
        let data = json!({ "position": position });
        self.ready.push_back(event("moved", position, &data.to_string()));
    }
}

fn told(notice: &Notice) -> Bytes {
    let name = notice.change.kind().as_str();
    // Serialising texts and numbers cannot fail.
    event(name, notice.position, &serde_json::to_string(notice).unwrap_or_default())
}

fn missed(count: Option<u64>, after: Position, through: Position) -> Bytes {
    let data = json!({ "count": count, "after": after, "through": through });
    event("missed", through, &data.to_string())
}

/// One event; JSON has no line breaks outside its escapes.
fn event(name: &str, id: Position, data: &str) -> Bytes {
    Bytes::from(format!("id: {id}\nevent: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
    use guildhall_core::{
        AccordBound, Append, ArtifactRegistered, Chronicle, Cid, DeploymentObserved, Event, Json,
        NewEntry, Tier, Timestamp,
    };
    use guildhall_projector::{Runtime, Settings};
    use tokio::sync::Semaphore;

    use super::*;

    /// Three entries, the last of which says that nothing was seen on a target.
    fn look() -> [Event; 3] {
        let json = || Json::parse("{}").unwrap();
        let accord = AccordBound::new("change control", "board", json(), Timestamp::MIN);
        let id = accord.accord_id;
        let schema = "https://example.com/zone.json";
        let zone = ArtifactRegistered::new(id, "dns_zone", "zone", Tier::ALL[0], json(), schema);
        let seen = DeploymentObserved {
            artifact_id: zone.artifact_id,
            desired_cid: Cid::of(&json()),
            detail: Json::null(),
            observed_at: Timestamp::MIN,
            observed_cid: None,
            target: "eu".to_owned(),
        };
        [accord.into(), zone.into(), seen.into()]
    }

    #[tokio::test]
    async fn what_was_told_up_to_a_position_goes_before_it() {
        let (chronicle, ops_db) = (Arc::new(MemoryChronicle::new()), Arc::new(MemoryOpsDb::new()));
        let projector = Arc::new(ops_db.projector());
        let _runtime = Runtime::spawn(chronicle.clone(), projector, Settings::default());
        let orchestrator = CeremonyOrchestrator::new(chronicle.clone(), ops_db).start();
        let topics = vec![Topic::AllPostures];
        let subscription = orchestrator.subscribe(topics.clone()).await.unwrap();
        let mut stream = Stream {
            position: subscription.position(),
            moved: None,
            may_move: Instant::now(),
            ready: VecDeque::new(),
            past: None,
            orchestrator: orchestrator.clone(),
            subscription,
            topics,
            _permit: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
        };
        chronicle.append(Append::of(look().each_ref().map(NewEntry::new))).await.unwrap();
        let mut position = Position::ZERO;
        while position < Position::new(3) {
            let moves = orchestrator.moved_from(position);
            position = timeout(Duration::from_secs(20), moves).await.unwrap().unwrap();
        }
        // As if it looked at the position before it looked at its queue.
        stream.tell_moved();
        let told: Vec<_> =
            stream.ready.iter().map(|bytes| str::from_utf8(bytes).unwrap()).collect();
        assert!(told[0].starts_with("id: 3\nevent: posture\n"), "{told:?}");
        assert!(told[1].starts_with("id: 3\nevent: moved\n") && told.len() == 2, "{told:?}");
    }
}
