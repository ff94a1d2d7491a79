//! The watcher: lists, then watches, and hands over what happened.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::{FutureExt as _, select_all};
use guildhall_core::command::RecordError;
use guildhall_projector::ceremony::{CeremonyFeed, FeedError, Intake, IntakeOutcome};
use kube::{Client, Config};
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use crate::backlog::Backlog;
use crate::error::WatchError;
use crate::missing::{self, Missing};
use crate::place::{Failure, Place};
use crate::reading::{Happened, Says, read};
use crate::seen::{HandedOver, Seen};
use crate::standing::Standing;
use crate::wire::{Line, Scope, Wire};

/// The watcher's name among feeds, unless set otherwise.
pub const FEED_NAME: &str = "kubernetes";

/// How soon a watch may end without having come any further; sooner is a failure.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// Follows the ceremonies of a cluster, and writes nothing to it: a
/// [feed](guildhall_projector::ceremony::CeremonyFeed) for the orchestrator.
///
/// It lists, in pages, hands over what it finds in the order in which it was decided, and then
/// watches from the version of that list. A watch that ends or breaks goes on where it was; where
/// that is too long ago (410), or fails again and again, it lists again. After a failure it goes on
/// in the same way, so one watcher should serve for as long as the process lives. Where several
/// namespaces are watched and some of them fail, the others go on all the same.
///
/// An object's phase becomes at most two steps: the opening, by the spec's requester and at the time
/// that the condition [`Opened`](crate::OPENED) reports; and the closing, as the status reports it.
/// Without that condition, the opening is taken to have happened when the object was created; where
/// the artifact's chain went on since, when it was decided, or when the API server last took a status
/// in (`metadata.managedFields`). The chain's head dates nothing. Whatever order statuses come in, a step is
/// recorded once, under an event id made from the object's UID and the step.
///
/// What the Chronicle refuses is shown in the feed's status and tried again with the next list, at
/// the latest after [`retry_refused`](Self::retry_refused): the artifact may not be registered yet,
/// or a time that lies in the future may have been mended. At every list, the ceremonies that the Ops
/// DB holds open and that this feed opened are looked for; those whose objects are gone are shown
/// with what is refused until a command closes them.
///
/// Memory: for each namespace, two pages or lines of 32 MiB at most and the
/// [backlog](Self::backlog_bytes) of a list; some 100 bytes a ceremony for 100,000 of them, and some
/// 200 bytes for each that is open.
#[must_use = "it receives nothing until an orchestrator has it as a feed"]
pub struct CeremonyWatcher {
    name: String,
    cluster: Option<String>,
    wire: Wire,
    page_size: u32,
    backlog_bytes: usize,
    retry_refused: Duration,
    /// Where each scope's watch stands; kept from run to run.
    places: Mutex<Vec<Place>>,
    seen: Seen,
}

impl std::fmt::Debug for CeremonyWatcher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CeremonyWatcher").field("name", &self.name).finish_non_exhaustive()
    }
}

impl CeremonyWatcher {
    /// A watcher of every namespace of the cluster that this client speaks to.
    ///
    /// Make the client of a [`Config`] whose `default_retry` is false, as [`of`](Self::of) does: an
    /// API server that has too much to do (429, 503, 504) is otherwise asked again by the client, and
    /// nobody is told.
    pub fn new(client: Client) -> Self {
        Self {
            name: FEED_NAME.to_owned(),
            cluster: None,
            wire: Wire::new(client),
            page_size: 250,
            backlog_bytes: 16 << 20,
            retry_refused: Duration::from_secs(300),
            places: Mutex::new(vec![Place::new(Scope::Everywhere)]),
            seen: Seen::default(),
        }
    }

    /// A watcher of every namespace of the cluster that is configured so: by `Config::infer`, as
    /// $KUBECONFIG, ~/.kube/config or the account of the pod has it. Its client tries nothing again by
    /// itself: the watcher does, and says so.
    ///
    /// # Errors
    /// The configuration makes no client: a certificate, say, cannot be read.
    pub fn of(mut config: Config) -> Result<Self, kube::Error> {
        config.default_retry = false;
        Ok(Self::new(Client::try_from(config)?))
    }

    /// Watches these namespaces only, each by a connection of its own. Without any, every
    /// namespace.
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
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The name of its cluster, which the evidence of each opening then states. It is required where
    /// one Chronicle receives reports of more than one cluster, each under another name: a watcher looks for the
    /// objects of those open ceremonies alone that name its cluster; without a name, of those that
    /// name none, so that two watchers without would report each other's as deleted.
    ///
    /// It is not part of the event ids: what was recorded without it stays as it is, and is looked for
    /// by a watcher without it alone.
    pub fn cluster(self, cluster: impl Into<String>) -> Self {
        Self { cluster: Some(cluster.into()), ..self }
    }

    /// How many objects a page of a list has at most; 250 by default. Fewer are asked for where a
    /// page is longer than 32 MiB.
    pub fn page_size(self, page_size: u32) -> Self {
        Self { page_size: page_size.max(1), ..self }
    }

    /// How many bytes of ceremonies are held back to put a list in order; 16 MiB by default. Where
    /// a list has more that is new, it is asked for several times.
    pub fn backlog_bytes(self, backlog_bytes: usize) -> Self {
        Self { backlog_bytes, ..self }
    }

    /// How long an answer may take, a whole page in the case of lists; 30 seconds by default. Over
    /// a slow line, ask for [smaller pages](Self::page_size): they are not made so by themselves.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.wire.patience = patience;
        self
    }

    /// How long the API server is asked to hold a watch before it is begun anew; 290 seconds by
    /// default, in whole seconds.
    pub fn watch_for(mut self, watch_for: Duration) -> Self {
        self.wire.watch_for = watch_for;
        self
    }

    /// How long a watch may be silent before it is begun anew: its connection may be dead, which
    /// counts as listening until then. 150 seconds by default, since API servers send a bookmark
    /// about once a minute.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.wire.silence = silence;
        self
    }

    /// How long after a refusal everything is listed anew, and the refused tried again; five
    /// minutes by default.
    pub fn retry_refused(self, retry_refused: Duration) -> Self {
        Self { retry_refused, ..self }
    }

    /// Lists and watches until nothing can be received any more.
    async fn follow(&self, places: &mut [Place], intake: &Intake) -> Result<Infallible, FeedError> {
        let standing = Standing::new(places.len(), intake);
        self.seen.remind();
        let mut retry = std::pin::pin!(self.retry_is_due().fuse());
        loop {
            let failed = self.list(places, intake).await?;
            let scopes = places.iter_mut().zip(failed).enumerate().map(|(nth, (place, failed))| {
                self.follow_scope(place, failed, intake, &standing, nth).boxed()
            });
            tokio::select! {
                (outcome, ..) = select_all(scopes) => return outcome,
                () = &mut retry => {}
            }
            self.seen.retries();
            retry.set(self.retry_is_due().fuse());
            places.iter_mut().for_each(|place| place.resource_version = None);
        }
    }

    async fn retry_is_due(&self) {
        self.seen.refusal().await;
        tokio::time::sleep(self.retry_refused).await;
    }

    /// Follows a scope, which may have failed just now, again and again. It gives up where none of
    /// the scopes is followed, or what is received is not recorded.
    async fn follow_scope(
        &self,
        place: &mut Place,
        mut failed: Option<WatchError>,
        intake: &Intake,
        standing: &Standing<'_>,
        nth: usize,
    ) -> Result<Infallible, FeedError> {
        loop {
            let error = match failed.take() {
                Some(error) => error,
                None => match self.hear(place, intake, standing, nth).await {
                    Failure::Scope(error) => error,
                    Failure::Chronicle(error) => return Err(error.into()),
                },
            };
            place.failed(&error);
            if standing.fails(nth, &error) {
                return Err(error.into());
            }
            tokio::time::sleep(intake.pause(place.failures)).await;
        }
    }

    /// Watches a scope, and lists it whenever it has to be, until it fails.
    async fn hear(
        &self,
        place: &mut Place,
        intake: &Intake,
        standing: &Standing<'_>,
        nth: usize,
    ) -> Failure {
        loop {
            if place.resource_version.is_none() {
                standing.connects(nth);
                match self.list(std::slice::from_mut(place), intake).await {
                    Ok(failed) => {
                        if let Some(error) = failed.into_iter().flatten().next() {
                            return error.into();
                        }
                    }
                    Err(error) => return error.into(),
                }
            }
            if let Err(failure) = self.watch(place, intake, &|| standing.listens(nth)).await {
                return failure;
            }
        }
    }

    /// Lists those of the scopes that have no place to watch from, all of them together: what
    /// happened in one namespace may follow from what did in another. Answers with what failed, in
    /// the order of the scopes.
    async fn list(
        &self,
        places: &mut [Place],
        intake: &Intake,
    ) -> Result<Vec<Option<WatchError>>, RecordError> {
        let mut failed: Vec<Option<WatchError>> = places.iter().map(|_| None).collect();
        let is_fresh = |place: &Place| place.resource_version.is_none();
        if !places.iter().any(is_fresh) {
            return Ok(failed);
        }
        let mut missing = Missing::load(&self.seen, intake, self.cluster.as_deref()).await;
        let list = self.seen.begin_list();
        let mut backlog = Backlog::new(self.backlog_bytes);
        // Later passes are over the very list that the first was over.
        let mut versions: Vec<Option<String>> = vec![None; places.len()];
        loop {
            let scopes = places.iter().zip(&mut versions).zip(&mut failed);
            for ((place, version), failed) in scopes {
                if !is_fresh(place) || failed.is_some() {
                    continue;
                }
                let pass = self.pass(&place.scope, version, &mut backlog, &mut missing, intake);
                *failed = pass.await.err();
                if failed.is_some() {
                    // What it did not come to may have happened before what it did.
                    backlog.retain(|happened| !place.scope.has(happened.namespace()));
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
        for ((place, version), failed) in places.iter_mut().zip(versions).zip(&failed) {
            if !is_fresh(place) || failed.is_some() {
                continue;
            }
            let was_listed = |namespace: &str| place.scope.has(namespace);
            missing.report(list, was_listed, &self.seen, intake).await?;
            (place.resource_version, place.is_listed) = (version, true);
        }
        Ok(failed)
    }

    /// Goes once over a list: over the present one, whose version it reports, or again over that of
    /// a version.
    async fn pass(
        &self,
        scope: &Scope,
        version: &mut Option<String>,
        backlog: &mut Backlog,
        missing: &mut Missing,
        intake: &Intake,
    ) -> Result<(), WatchError> {
        let (again, mut limit, mut next) = (version.clone(), self.page_size, None);
        loop {
            let page = self.wire.page(scope, again.as_deref(), &mut limit, next).await?;
            for object in &page.items {
                let reading = read(object, self.cluster.as_deref());
                if let Some(ceremony_id) = reading.ceremony_id {
                    self.seen.listed(ceremony_id);
                    missing.listed(ceremony_id);
                }
                match reading.says {
                    Says::Nothing => intake.resolve(&reading.identity),
                    Says::Happened(happened) if self.is_known(&happened) => {
                        intake.resolve(&reading.identity);
                    }
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
        listens: &(dyn Fn() + Sync),
    ) -> Result<(), Failure> {
        while let Some(version) = place.resource_version.clone() {
            let began = Instant::now();
            let mut lines = match self.wire.watch(&place.scope, &version).await {
                Ok(lines) => lines,
                Err(error) if error.is_gone() => return Ok(place.gone(error)?),
                Err(error) => return Err(error.into()),
            };
            listens();
            while let Some(line) = lines.next().await? {
                match line {
                    Line::Is(object) => self.changed(&object, place, intake).await?,
                    Line::Was(object) => self.deleted(&object, place, intake).await?,
                    Line::Bookmark(version) => place.reached(Some(version)),
                    Line::Failed(status) => {
                        let error = WatchError::of(&lines.doing, kube::Error::Api(status));
                        if error.is_gone() {
                            return Ok(place.gone(error)?);
                        }
                        return Err(error.into());
                    }
                    Line::Other => {}
                }
            }
            let is_stuck = place.resource_version.as_deref() == Some(&*version);
            if is_stuck && began.elapsed() < SHORTEST_WATCH.min(self.wire.silence) {
                return Err(WatchError::CutShort { doing: lines.doing }.into());
            }
        }
        Ok(())
    }

    /// Receives an object that was added or changed.
    async fn changed(
        &self,
        object: &RawValue,
        place: &mut Place,
        intake: &Intake,
    ) -> Result<(), RecordError> {
        let reading = read(object, self.cluster.as_deref());
        match reading.says {
            Says::Nothing => intake.resolve(&reading.identity),
            Says::Happened(happened) => self.hand_over(&happened, intake).await?,
            Says::Unreadable { artifact_id, reason } => {
                intake.refuse(reading.identity, artifact_id, reason);
            }
        }
        // Only what was handed over is behind us.
        place.reached(reading.resource_version);
        Ok(())
    }

    /// Receives an object that was deleted. Its last words count if they close it; one that was never
    /// seen before is not opened, only to stay so. That it is gone closes nothing.
    async fn deleted(
        &self,
        object: &RawValue,
        place: &mut Place,
        intake: &Intake,
    ) -> Result<(), RecordError> {
        let reading = read(object, self.cluster.as_deref());
        let artifact_id = match &reading.says {
            Says::Happened(happened) => Some(happened.artifact_id),
            Says::Unreadable { artifact_id, .. } => *artifact_id,
            Says::Nothing => None,
        };
        match reading.says {
            Says::Happened(happened) if happened.closed.is_some() => {
                self.hand_over(&happened, intake).await?;
            }
            Says::Nothing | Says::Happened(_) | Says::Unreadable { .. } => {
                intake.resolve(&reading.identity);
            }
        }
        if let Some(id) = reading.ceremony_id {
            let may_be_open = match self.seen.gone(id) {
                Some(HandedOver::Open(open)) => Some(open.artifact_id),
                Some(HandedOver::Closed(_)) => None,
                // An earlier process may have opened it.
                None => artifact_id,
            };
            if let Some(artifact_id) = may_be_open {
                missing::report(id, reading.identity, artifact_id, &self.seen, intake).await?;
            }
        }
        place.reached(reading.resource_version);
        Ok(())
    }

    /// Whether there is nothing in it that was not handed over.
    fn is_known(&self, happened: &Happened) -> bool {
        match (self.seen.handed_over(happened.ceremony_id), &happened.closed) {
            (None, _) | (Some(HandedOver::Open(_)), Some(_)) => false,
            (Some(_), None) => true,
            (Some(HandedOver::Closed(was)), Some((is, _))) => was == *is,
        }
    }

    /// Hands over what was not before, the opening first.
    async fn hand_over(&self, happened: &Happened, intake: &Intake) -> Result<(), RecordError> {
        if self.is_known(happened) {
            intake.resolve(&happened.identity);
            return Ok(());
        }
        let handed_over = self.seen.handed_over(happened.ceremony_id);
        if let (Some(HandedOver::Closed(was)), Some((is, _))) = (&handed_over, &happened.closed) {
            let reason = format!("it ended {was}, and is now said to have ended {is}");
            intake.refuse(happened.identity.clone(), Some(happened.artifact_id), reason);
            return Ok(());
        }
        if handed_over.is_none() {
            if let IntakeOutcome::Refused(_) = intake.take(happened.opening()).await? {
                self.seen.refused();
                return Ok(());
            }
            self.seen.opened(happened);
        }
        if let (Some(closing), Some((outcome, _))) = (happened.closing(), &happened.closed) {
            match intake.take(closing).await? {
                IntakeOutcome::Refused(_) => self.seen.refused(),
                _ => self.seen.closed(happened.ceremony_id, *outcome),
            }
        }
        Ok(())
    }
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
        let mut places = self.places.lock().await;
        match self.follow(&mut places, intake).await? {}
    }
}
