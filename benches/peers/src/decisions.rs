//! disintegrate-postgres: an event store for decisions, and event listeners.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use async_trait::async_trait;
use disintegrate::serde::json::Json;
use disintegrate::{EventListener, EventStore, PersistedEvent, StreamQuery, query};
use disintegrate_postgres::{
    PgEventId, PgEventListener, PgEventListenerConfig, PgEventListenerError, PgEventStore,
    RetryAction,
};
use guildhall_core::NewEntry;
use sqlx_08::PgPool;
use sqlx_08::postgres::PgPoolOptions;

use crate::event::Event;
use crate::library::Library;
use crate::read_model;

/// The event store with JSON, the first format that its README names, and a connection for each
/// task, at least the ten that a pool has by default.
#[derive(Clone)]
pub(crate) struct DisintegratePostgres {
    pool: PgPool,
    store: PgEventStore<Event, Json<Event>>,
}

impl Library for DisintegratePostgres {
    const OPS_SCHEMA: &'static str = "read_model";

    type Event = Event;

    /// `try_new` makes the tables, but not before PostgreSQL 16, so they are made as the
    /// documentation of `new_uninitialized` says: from the crate's SQL files.
    async fn create(url: &str) -> anyhow::Result<()> {
        read_model::execute(url, include_str!("decisions.sql")).await
    }

    async fn open(url: &str, tasks: u32) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(tasks.max(10)).connect(url).await?;
        let store = PgEventStore::new_uninitialized(pool.clone(), Json::default());
        Ok(Self { pool, store })
    }

    fn event(entry: NewEntry) -> anyhow::Result<Event> {
        Event::try_from(&entry)
    }

    /// Without validation, which is what Guildhall does too where no version is expected; the other
    /// way is a query and an isolation level dearer. Nobody listens, so the store does not notify.
    async fn append(&self, event: Event) -> anyhow::Result<()> {
        self.store.append_without_validation(vec![event]).await?;
        Ok(())
    }

    async fn record(&self, mut log: impl Iterator<Item = NewEntry>) -> anyhow::Result<()> {
        loop {
            let chunk = log.by_ref().take(1000).map(Self::event).collect::<Result<Vec<_>, _>>()?;
            if chunk.is_empty() {
                return Ok(());
            }
            self.store.append_without_validation(chunk).await?;
        }
    }

    /// The listener as its documentation sets it up. The number of events fetched is not limited,
    /// which is the default: all of them are one stream and one checkpoint. With a limit, the rest
    /// would wait for the next poll.
    async fn catch_up(&self, entries: usize) -> anyhow::Result<Duration> {
        read_model::create(&self.pool).await?;
        let failure = Arc::new(Mutex::new(None));
        let told = Arc::clone(&failure);
        let config = PgEventListenerConfig::poller(Duration::from_secs(5))
            .with_notifier()
            .with_retry(move |error: PgEventListenerError<sqlx_08::Error>, _attempts: usize| {
                let mut failure = told.lock().unwrap_or_else(PoisonError::into_inner);
                *failure = Some(format!("{error:?}"));
                RetryAction::Abort
            });
        let listener = PgEventListener::builder(self.store.clone())
            .register_listener(OpsDb { query: query!(Event), pool: self.pool.clone() }, config);
        let last = PgEventId::try_from(entries)?;
        let (pool, seen) = (self.pool.clone(), Arc::clone(&failure));
        let began = Instant::now();
        let (end, ended) = tokio::sync::oneshot::channel();
        listener
            .start_with_shutdown(async move {
                // It does not say when it has caught up, but its checkpoint does.
                while seen.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
                    if matches!(checkpoint(&pool).await, Ok(Some(id)) if id >= last) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                // Nobody waits for it once the listener is gone.
                let _ = end.send(began.elapsed());
            })
            .await?;
        if let Some(failure) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bail!("the listener stopped: {failure}");
        }
        Ok(ended.await?)
    }
}

async fn checkpoint(pool: &PgPool) -> Result<Option<PgEventId>, sqlx_08::Error> {
    sqlx_08::query_scalar("SELECT last_processed_event_id FROM event_listener WHERE id = $1")
        .bind(LISTENER)
        .fetch_optional(pool)
        .await
}

const LISTENER: &str = "ops-db";

struct OpsDb {
    query: StreamQuery<PgEventId, Event>,
    pool: PgPool,
}

#[async_trait]
impl EventListener<PgEventId, Event> for OpsDb {
    type Error = sqlx_08::Error;

    fn id(&self) -> &'static str {
        LISTENER
    }

    fn query(&self) -> &StreamQuery<PgEventId, Event> {
        &self.query
    }

    async fn handle(&self, event: PersistedEvent<PgEventId, Event>) -> Result<(), sqlx_08::Error> {
        read_model::apply(&self.pool, event.into_inner()).await
    }
}
