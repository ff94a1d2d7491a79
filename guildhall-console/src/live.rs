//! `/events`: what changes, as it changes, in server-sent events.
//!
//! | event | data |
//! | --- | --- |
//! | `moved` | the position that the Ops DB has reached; first of all, then after every change, at most five times a second |
//! | `ceremony`, `posture` | a notice of these topics |
//! | `here` | nothing: said where nothing else was for ten seconds, so that a connection that died is noticed |
//! | `missed` | notices that are not told: how many where that is known, after which position and through which |
//!
//! Each event's id is its position, so that `Last-Event-ID` resumes after the last that came.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use guildhall_core::{Position, StoreError};
use guildhall_projector::ceremony::{CeremonyOrchestrator, Delivery, Notice, Subscription, Topic};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::console::Shared;
use crate::error::RequestError;
use crate::params::Params;

/// How often a silent stream says that it is there; scripts see events and no comments.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The least time between two `moved`.
const PAUSE: Duration = Duration::from_millis(200);

/// How far back a stream is resumed, in entries.
const MAX_RESUMED: u64 = 20_000;

pub(crate) async fn events(
    State(app): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Response> {
    let fail = |error: RequestError| error.into_json();
    let params = Params::parse(query.as_deref());
    let topics = if params.has("topic") {
        params.parsed::<Topic>("topic").map_err(fail)?
    } else {
        vec![Topic::Ceremonies, Topic::Postures]
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let permit = Arc::clone(&app.streams).try_acquire_owned();
    let permit = permit.map_err(|_| fail(RequestError::Crowded))?;
    let orchestrator = app.orchestrator.clone();
    // Where the orchestrator cannot begin, the Ops DB cannot be read either.
    let subscribed = timeout(HEARTBEAT, orchestrator.subscribe(topics.clone())).await;
    let Ok(Ok(subscription)) = subscribed else { return Err(fail(RequestError::NotLive)) };
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
    stream.resume(last.map(Position::new));
    let body = stream::unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<_, StoreError>(bytes), stream))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that buffer would hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

struct Stream {
    orchestrator: CeremonyOrchestrator,
    subscription: Subscription,
    topics: Vec<Topic>,
    /// Where the subscription begins.
    position: Position,
    /// The position that was last told.
    moved: Option<Position>,
    /// When the next may be told.
    may_move: Instant,
    /// What is to be sent before anything else.
    ready: VecDeque<Bytes>,
    /// From where the past is still to be told.
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
        let from = Position::new(self.position.get().saturating_sub(MAX_RESUMED)).max(last);
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
            let told = self.moved.unwrap_or(Position::ZERO);
            let moves = async {
                let position = if self.moved.is_none() {
                    Ok(self.orchestrator.status().position)
                } else {
                    self.orchestrator.moved_from(told).await
                };
                sleep_until(self.may_move).await;
                position
            };
            tokio::select! {
                biased;
                delivery = self.subscription.next(), if !self.topics.is_empty() => {
                    let bytes = match delivery? {
                        Delivery::Notice(notice) => self.notice(&notice),
                        Delivery::Missed(gap) => {
                            Some(missed(Some(gap.count), gap.after, gap.through))
                        }
                    };
                    self.ready.extend(bytes);
                }
                moved = moves => {
                    // What came while it paused counts.
                    let position = moved.ok()?.max(self.orchestrator.status().position);
                    self.moved = Some(position);
                    self.may_move = Instant::now() + PAUSE;
                    let data = json!({ "position": position });
                    return Some(event("moved", position, &data.to_string()));
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
                tracing::warn!(error = &error as &dyn std::error::Error, "the past is not told");
                self.ready.push_back(missed(None, after, self.position));
                self.past = None;
            }
        }
    }

    fn notice(&self, notice: &Notice) -> Option<Bytes> {
        (notice.position > self.position).then(|| told(notice))
    }
}

fn told(notice: &Notice) -> Bytes {
    let name = if notice.change.is_of_ceremony() { "ceremony" } else { "posture" };
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
