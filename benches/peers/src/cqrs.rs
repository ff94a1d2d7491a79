//! postgres-es: commands to aggregates, and queries that their events are replayed to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository, QueryReplay, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent, EventEnvelope, Query};
use guildhall_core::NewEntry;
use postgres_es::{PostgresCqrs, PostgresEventRepository, postgres_cqrs};
use serde::{Deserialize, Serialize};
use sqlx_08::PgPool;
use sqlx_08::postgres::PgPoolOptions;

use crate::event::Event;
use crate::library::Library;
use crate::read_model;

/// The framework as its README sets it up, with a connection for each task, at least the ten of its
/// default pool. No query is told of what is appended: the read model is measured by itself.
#[derive(Clone)]
pub(crate) struct PostgresEs {
    pool: PgPool,
    cqrs: Arc<PostgresCqrs<Stream>>,
}

/// An artifact or an accord. It decides nothing, so that a command costs no more than its framework.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stream {
    entries: u64,
}

impl Aggregate for Stream {
    const TYPE: &'static str = "stream";

    type Command = Event;
    type Event = Event;
    type Error = Infallible;
    type Services = ();

    async fn handle(
        &mut self,
        event: Event,
        _services: &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Infallible> {
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, _event: Event) {
        self.entries += 1;
    }
}

impl Library for PostgresEs {
    const OPS_SCHEMA: &'static str = "read_model";

    type Event = (String, Event);

    async fn create(url: &str) -> anyhow::Result<()> {
        read_model::execute(url, include_str!("cqrs.sql")).await
    }

    async fn open(url: &str, tasks: u32) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(tasks.max(10)).connect(url).await?;
        let cqrs = Arc::new(postgres_cqrs(pool.clone(), Vec::new(), ()));
        Ok(Self { pool, cqrs })
    }

    fn event(entry: NewEntry) -> anyhow::Result<(String, Event)> {
        Ok((entry.stream_id.to_string(), Event::try_from(&entry)?))
    }

    /// A command, "the only way to make changes" of its documentation.
    async fn append(&self, (stream, event): (String, Event)) -> anyhow::Result<()> {
        self.cqrs.execute(&stream, event).await?;
        Ok(())
    }

    async fn record(&self, mut log: impl Iterator<Item = NewEntry>) -> anyhow::Result<()> {
        let repository = PostgresEventRepository::new(self.pool.clone());
        let mut versions = HashMap::new();
        loop {
            let mut chunk = Vec::new();
            for entry in log.by_ref().take(1000) {
                let (stream, event) = Self::event(entry)?;
                let version: &mut usize = versions.entry(stream.clone()).or_default();
                *version += 1;
                chunk.push(SerializedEvent {
                    aggregate_id: stream,
                    sequence: *version,
                    aggregate_type: Stream::TYPE.to_owned(),
                    event_type: event.event_type(),
                    event_version: event.event_version(),
                    payload: serde_json::to_value(&event)?,
                    metadata: serde_json::json!({}),
                });
            }
            if chunk.is_empty() {
                return Ok(());
            }
            repository.persist::<Stream>(&chunk, None).await?;
        }
    }

    /// A replay to a query of our own. The `GenericQuery` that comes with the library keeps one JSON
    /// document an aggregate, which it reads and writes for every event: no table, and no faster.
    async fn catch_up(&self, _entries: usize) -> anyhow::Result<Duration> {
        read_model::create(&self.pool).await?;
        let failure = Failure::default();
        let query = OpsDb { pool: self.pool.clone(), failure: failure.clone() };
        let mut replay = QueryReplay::new(PostgresEventRepository::new(self.pool.clone()), query);
        let told = failure.clone();
        replay.use_error_handler(Box::new(move |error| told.keep(&error)));
        let began = Instant::now();
        replay.replay_all().await?;
        let elapsed = began.elapsed();
        if let Some(failure) = failure.take() {
            bail!("the replay lost an event: {failure}");
        }
        Ok(elapsed)
    }
}

/// A query cannot fail, so it keeps what went wrong.
#[derive(Clone, Default)]
struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    fn keep(&self, error: &dyn std::error::Error) {
        let mut failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| error.to_string());
    }

    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct OpsDb {
    pool: PgPool,
    failure: Failure,
}

#[async_trait]
impl Query<Stream> for OpsDb {
    async fn dispatch(&self, _stream: &str, events: &[EventEnvelope<Stream>]) {
        for event in events {
            if let Err(error) = read_model::apply(&self.pool, event.payload.clone()).await {
                self.failure.keep(&error);
            }
        }
    }
}
