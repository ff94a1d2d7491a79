//! The watcher: lists, then watches, and hands over what happened.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::{FutureExt as _, select_all};
use guildhall_core::command::RecordError;
use guildhall_projector::ceremony::{CeremonyFeed, FeedError, Intake, Taken};
use kube::Client;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use crate::backlog::Backlog;
use crate::error::WatchError;
use crate::memory::{Memory, Open, Told};
use crate::reading::{Happened, Says, read};
use crate::wire::{Line, Scope, Wire};

/// The watcher's name among feeds, unless set otherwise.
pub const FEED_NAME: &str = "kubernetes";

/// How soon a watch may end without having told anything; sooner is a failure.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// Follows the ceremonies of a cluster, and writes nothing to it: a
/// [feed](guildhall_projector::ceremony::CeremonyFeed) for the orchestrator.
///
/// It lists, in pages, hands over what it finds in the order in which it was decided, and then
/// watches from the version of that list. A watch that ends or breaks goes on where it was; where
/// that is too long ago (410), it lists again. After a failure it goes on in the same way, so one
/// watcher should serve for as long as the process lives.
///
/// An object's phase becomes at most two steps: the opening, by the spec's requester and at the time
/// that the condition [`Opened`](crate::OPENED) tells; and the closing, as the status tells it.
/// Without that condition, the opening is taken to have happened when the object was created, or
/// when the artifact's chain could first take it. Whatever order statuses come in, a step is
/// recorded once, under an event id made from the object's UID and the step.
///
/// What the Chronicle refuses is shown in the feed's status and tried again with the next list, at
/// the latest after [`retry_refused`](Self::retry_refused): the artifact may not be registered yet.
///
/// Memory: two pages or lines of 32 MiB at most, the [backlog](Self::backlog_bytes) of a list, and
/// some 100 bytes a ceremony for 100,000 of them.
pub struct CeremonyWatcher {
    name: String,
    wire: Wire,
    page_size: u32,
    backlog_bytes: usize,
    retry_refused: Duration,
    /// Where each scope's watch stands; kept from run to run.
    places: Mutex<Vec<Place>>,
    memory: Memory,
}

/// How far one scope was heard.
#[derive(Debug)]
struct Place {
    scope: Scope,
    /// Watch after this version; list first where there is none.
    resource_version: Option<String>,
    /// The version is a list's, and no watch has told anything since.
    is_listed: bool,
}

impl Place {
    fn new(scope: Scope) -> Self {
        Self { scope, resource_version: None, is_listed: false }
    }

    /// The version is gone: it has to be listed anew. If it came from the very list before, that
    /// would go on for ever without a pause.
    fn gone(&mut self, error: WatchError) -> Result<(), FeedError> {
        self.resource_version = None;
        if std::mem::take(&mut self.is_listed) { Err(error.into()) } else { Ok(()) }
    }
}

impl std::fmt::Debug for CeremonyWatcher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CeremonyWatcher").field("name", &self.name).finish_non_exhaustive()
    }
}

impl CeremonyWatcher {
    /// A watcher of every namespace of the cluster that this client speaks to.
    pub fn new(client: Client) -> Self {
        Self {
            name: FEED_NAME.to_owned(),
            wire: Wire::new(client),
            page_size: 250,
            backlog_bytes: 16 << 20,
            retry_refused: Duration::from_secs(300),
            places: Mutex::new(vec![Place::new(Scope::Everywhere)]),
            memory: Memory::default(),
        }
    }

    /// Watches these namespaces only, each by a connection of its own. Without any, every
    /// namespace.
    #[must_use]
    pub fn namespaces<N: Into<String>>(self, namespaces: impl IntoIterator<Item = N>) -> Self {
        let mut scopes: Vec<Scope> = Vec::new();
        for namespace in namespaces {
            let scope = Scope::Namespace(namespace.into());
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        if scopes.is_empty() {
            scopes.push(Scope::Everywhere);
        }
        Self { places: Mutex::new(scopes.into_iter().map(Place::new).collect()), ..self }
    }

    /// Its name among feeds; [`FEED_NAME`] by default. It is part of the event ids: never change it
    /// for a cluster.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// How many objects a page of a list has at most; 250 by default. Fewer are asked for where a
    /// page is longer than 32 MiB.
    #[must_use]
    pub fn page_size(self, page_size: u32) -> Self {
        Self { page_size: page_size.max(1), ..self }
    }

    /// How many bytes of ceremonies are held back to put a list in order; 16 MiB by default. Where
    /// a list has more that is new, it is asked for several times.
    #[must_use]
    pub fn backlog_bytes(self, backlog_bytes: usize) -> Self {
        Self { backlog_bytes, ..self }
    }

    /// How long an answer may take, a whole page in the case of lists; 30 seconds by default.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.wire.patience = patience;
        self
    }

    /// How long the API server is asked to hold a watch before it is begun anew; 290 seconds by
    /// default, in whole seconds. A watch that is silent for longer, and for
    /// [`patience`](Self::patience) besides, is cut.
    #[must_use]
    pub fn watch_for(mut self, watch_for: Duration) -> Self {
        self.wire.watch_for = watch_for;
        self
    }

    /// How long after a refusal everything is listed anew, and the refused tried again; five
    /// minutes by default.
    #[must_use]
    pub fn retry_refused(self, retry_refused: Duration) -> Self {
        Self { retry_refused, ..self }
    }

    /// Lists and watches until something fails.
    async fn follow(&self, places: &mut [Place], intake: &Intake) -> Result<(), FeedError> {
        self.memory.remind();
        let mut retry = std::pin::pin!(self.retry_is_due().fuse());
        loop {
            intake.connecting();
            self.list(places, intake).await?;
            let (all, connected) = (places.len(), AtomicUsize::new(0));
            let is_connected = || {
                if connected.fetch_add(1, Ordering::Relaxed) + 1 == all {
                    intake.listening();
                }
            };
            let watches =
                places.iter_mut().map(|place| self.watch(place, intake, &is_connected).boxed());
            let is_retry_due = tokio::select! {
                (outcome, ..) = select_all(watches) => {
                    outcome?;
                    false
                }
                () = &mut retry => true,
            };
            if is_retry_due {
                retry.set(self.retry_is_due().fuse());
                places.iter_mut().for_each(|place| place.resource_version = None);
            }
        }
    }

    async fn retry_is_due(&self) {
        self.memory.refusal().await;
        tokio::time::sleep(self.retry_refused).await;
    }

    /// Lists the scopes that have no place to watch from, all of them together: what happened in
    /// one namespace may follow from what did in another.
    async fn list(&self, places: &mut [Place], intake: &Intake) -> Result<(), FeedError> {
        let is_fresh = |place: &Place| place.resource_version.is_none();
        if !places.iter().any(is_fresh) {
            return Ok(());
        }
        self.memory.begin_list();
        let mut backlog = Backlog::new(self.backlog_bytes);
        // Later passes are over the very list that the first was over.
        let mut versions: Vec<Option<String>> = vec![None; places.len()];
        loop {
            for (place, version) in places.iter().zip(&mut versions) {
                if is_fresh(place) {
                    self.pass(&place.scope, version, &mut backlog, intake).await?;
                }
            }
            let (happened, is_more) = backlog.take();
            for happened in happened {
                self.hand_over(&happened, intake).await?;
            }
            if !is_more {
                break;
            }
        }
        let was_listed = |namespace: &str| {
            places.iter().any(|place| is_fresh(place) && place.scope.has(namespace))
        };
        for open in self.memory.end_list(was_listed) {
            left_open(open, intake);
        }
        for (place, version) in places.iter_mut().zip(versions) {
            if version.is_some() {
                (place.resource_version, place.is_listed) = (version, true);
            }
        }
        Ok(())
    }

    /// Goes once over a list: over the present one, whose version it tells, or again over that of
    /// a version.
    async fn pass(
        &self,
        scope: &Scope,
        version: &mut Option<String>,
        backlog: &mut Backlog,
        intake: &Intake,
    ) -> Result<(), WatchError> {
        let (again, mut limit, mut next) = (version.clone(), self.page_size, None);
        loop {
            let page = self.wire.page(scope, again.as_deref(), &mut limit, next).await?;
            for object in &page.items {
                let reading = read(object);
                if let Some(ceremony_id) = reading.ceremony_id {
                    self.memory.listed(ceremony_id);
                }
                match reading.says {
                    Says::Nothing => {}
                    Says::Happened(happened) if self.is_known(&happened) => {}
                    Says::Happened(happened) => backlog.offer(*happened),
                    Says::Unreadable { artifact_id, reason } if again.is_none() => {
                        intake.refuse(reading.identity, artifact_id, reason);
                    }
                    Says::Unreadable { .. } => {}
                }
            }
            version.get_or_insert(page.resource_version);
            next = page.next;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// Watches a scope for as long as it can go on where it was. Returns once it has to be listed.
    async fn watch(
        &self,
        place: &mut Place,
        intake: &Intake,
        is_connected: &(dyn Fn() + Sync),
    ) -> Result<(), FeedError> {
        let mut is_first = true;
        while let Some(version) = place.resource_version.clone() {
            let began = Instant::now();
            let mut lines = match self.wire.watch(&place.scope, &version).await {
                Ok(lines) => lines,
                Err(error) if error.is_gone() => return place.gone(error),
                Err(error) => return Err(error.into()),
            };
            if std::mem::take(&mut is_first) {
                is_connected();
            }
            let mut is_silent = true;
            while let Some(line) = lines.next().await? {
                is_silent = false;
                match line {
                    Line::Is(object) => self.changed(&object, place, intake).await?,
                    Line::Was(object) => self.deleted(&object, place, intake).await?,
                    Line::Bookmark(version) => place.resource_version = Some(version),
                    Line::Failed(status) => {
                        let error = WatchError::of(&lines.doing, kube::Error::Api(status));
                        if error.is_gone() {
                            return place.gone(error);
                        }
                        return Err(error.into());
                    }
                    Line::Other => {}
                }
                place.is_listed = false;
            }
            if is_silent && began.elapsed() < SHORTEST_WATCH {
                return Err(WatchError::CutShort { doing: lines.doing }.into());
            }
        }
        Ok(())
    }

    /// Hears that an object was added or changed.
    async fn changed(
        &self,
        object: &RawValue,
        place: &mut Place,
        intake: &Intake,
    ) -> Result<(), RecordError> {
        let reading = read(object);
        match reading.says {
            Says::Nothing => {}
            Says::Happened(happened) => self.hand_over(&happened, intake).await?,
            Says::Unreadable { artifact_id, reason } => {
                intake.refuse(reading.identity, artifact_id, reason);
            }
        }
        // Only what was handed over is behind us.
        place.resource_version = reading.resource_version.or(place.resource_version.take());
        Ok(())
    }

    /// Hears that an object was deleted. Its last words count; but that it is gone closes nothing.
    async fn deleted(
        &self,
        object: &RawValue,
        place: &mut Place,
        intake: &Intake,
    ) -> Result<(), RecordError> {
        let reading = read(object);
        if let Says::Happened(happened) = reading.says {
            self.hand_over(&happened, intake).await?;
        }
        if let Some(open) = reading.ceremony_id.and_then(|id| self.memory.gone(id)) {
            left_open(open, intake);
        }
        place.resource_version = reading.resource_version.or(place.resource_version.take());
        Ok(())
    }

    /// Whether there is nothing in it that was not handed over.
    fn is_known(&self, happened: &Happened) -> bool {
        match (self.memory.told(happened.ceremony_id), &happened.closed) {
            (None, _) | (Some(Told::Open(_)), Some(_)) => false,
            (Some(_), None) => true,
            (Some(Told::Closed(was)), Some((is, _))) => was == *is,
        }
    }

    /// Hands over what was not before, the opening first.
    async fn hand_over(&self, happened: &Happened, intake: &Intake) -> Result<(), RecordError> {
        if self.is_known(happened) {
            return Ok(());
        }
        let told = self.memory.told(happened.ceremony_id);
        if let (Some(Told::Closed(was)), Some((is, _))) = (&told, &happened.closed) {
            let reason = format!("it ended {was}, and is now said to have ended {is}");
            intake.refuse(happened.identity.clone(), Some(happened.artifact_id), reason);
            return Ok(());
        }
        if told.is_none() {
            if let Taken::Refused(_) = intake.take(happened.opening()).await? {
                self.memory.refused();
                return Ok(());
            }
            self.memory.opened(happened);
        }
        if let (Some(closing), Some((outcome, _))) = (happened.closing(), &happened.closed) {
            match intake.take(closing).await? {
                Taken::Refused(_) => self.memory.refused(),
                _ => self.memory.closed(happened.ceremony_id, *outcome),
            }
        }
        Ok(())
    }
}

/// Tells of a ceremony whose object is gone before it was closed: nobody may ever close it.
fn left_open(open: Open, intake: &Intake) {
    const REASON: &str = "its object was deleted while it was open, and nothing said how it ended; \
                          it stays open in the Chronicle";
    intake.refuse(open.identity, Some(open.artifact_id), REASON.to_owned());
}

#[async_trait]
impl CeremonyFeed for CeremonyWatcher {
    fn name(&self) -> &str {
        &self.name
    }

    /// Never ends but by failing.
    ///
    /// # Errors
    /// [`WatchError`], or the Chronicle's own: nothing is lost, the next run goes on where this one
    /// was.
    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        intake.connecting();
        let mut places = self.places.lock().await;
        self.follow(&mut places, intake).await
    }
}
