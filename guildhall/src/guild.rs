//! The handle on everything.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use guildhall_core::command::Recorder;
use guildhall_core::{Chronicle, CustodyPolicy, OpsDb, Rebuild, Seals, Wakeup};
use guildhall_projector::ceremony::CeremonyOrchestrator;
use guildhall_projector::{ReadModels, Runtime, Status};

use crate::error::GuildError;
use crate::set_up::SetUp;
use crate::store::Parts;

/// A Chronicle, its Ops DB and what keeps them together. Clones are cheap and share everything.
///
/// [Close](Self::close) it at the end. Where the last clone is dropped instead, what runs ends too,
/// unless a handle on it is kept elsewhere.
#[derive(Clone)]
pub struct Guild {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    recorder: Arc<Recorder>,
    set_up: SetUp,
    at_work: Mutex<AtWork>,
}

/// What runs.
#[derive(Default)]
struct AtWork {
    runtime: Option<Runtime>,
    orchestrator: Option<CeremonyOrchestrator>,
}

impl AtWork {
    fn runtime(&self) -> Option<&Runtime> {
        self.runtime.as_ref().filter(|runtime| !runtime.status().state.is_final())
    }

    fn orchestrator(&self) -> Option<&CeremonyOrchestrator> {
        self.orchestrator.as_ref().filter(|it| !it.status().state.is_final())
    }
}

impl fmt::Debug for Guild {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Guild")
            .field("store", &self.inner.parts.kind)
            .field("policy", &self.inner.set_up.policy)
            .finish_non_exhaustive()
    }
}

impl Guild {
    pub(crate) fn new(parts: Parts, set_up: SetUp) -> Self {
        let chronicle: Arc<dyn Chronicle> = parts.chronicle.clone();
        let recorder =
            Recorder::new(chronicle, set_up.policy.clone()).by_clock(set_up.clock.clone());
        let (recorder, at_work) = (Arc::new(recorder), Mutex::default());
        Self { inner: Arc::new(Inner { parts, recorder, set_up, at_work }) }
    }

    /// The policy that everything here judges by.
    pub fn policy(&self) -> &CustodyPolicy {
        &self.inner.set_up.policy
    }

    /// Records commands, checked.
    pub fn recorder(&self) -> Arc<Recorder> {
        Arc::clone(&self.inner.recorder)
    }

    /// The log itself: to read, to import, to export.
    pub fn chronicle(&self) -> Arc<dyn Chronicle> {
        self.seals()
    }

    /// The log with what proves it: its seals, who cosigned them, the tiles of its tree.
    pub fn seals(&self) -> Arc<dyn Seals> {
        Arc::clone(&self.inner.parts.chronicle)
    }

    /// A sealer of this log, still to be given its sinks and started. Shut it down before the guild is
    /// [closed](Self::close).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use guildhall::prelude::*;
    /// use guildhall::proof::{KeyType, SigningKey};
    ///
    /// let guild = Guild::in_memory();
    /// let accord = AccordBound::new("change control", "board", "{}".parse()?, Timestamp::now());
    /// guild.recorder().record(accord).await?;
    /// // Seeds are 32 random bytes; `guildhall key new` keeps one in a file.
    /// let key = SigningKey::from_seed("guildhall/demo".parse()?, KeyType::Ed25519, &[1; 32])?;
    ///
    /// let sealed = guild.sealer(Arc::new(key)).seal().await?;
    /// assert_eq!(guild.seals().last_seal().await?.map(|seal| seal.size.get()), Some(sealed.size));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "proof")]
    pub fn sealer(
        &self,
        signer: Arc<dyn guildhall_proof::Signer>,
    ) -> guildhall_projector::proof::SealerBuilder {
        guildhall_projector::proof::Sealer::builder(self.seals(), signer)
    }

    /// What verifies this log and audits its tables again and again, by the guild's policy and settings:
    /// `every` says how long it rests in between. Drop it before the guild is [closed](Self::close).
    #[cfg(feature = "proof")]
    pub fn auditor(
        &self,
        known: guildhall_proof::verify::Known,
        every: std::time::Duration,
    ) -> guildhall_projector::proof::Auditor {
        let SetUp { policy, settings, .. } = &self.inner.set_up;
        let settings = guildhall_projector::proof::AuditorSettings::default()
            .every(every)
            .reading(settings.clone());
        let (log, ops_db) = (self.seals(), self.ops_db());
        guildhall_projector::proof::Auditor::start(log, ops_db, policy.clone(), known, settings)
    }

    /// The questions to the Ops DB.
    pub fn ops_db(&self) -> Arc<dyn OpsDb> {
        Arc::clone(&self.inner.parts.ops_db)
    }

    /// The projector, for [`catch_up`](guildhall_projector::catch_up) and
    /// [`rebuild`](guildhall_projector::rebuild) with a progress of one's own.
    pub fn projector(&self) -> Arc<dyn Rebuild> {
        Arc::clone(&self.inner.parts.projector)
    }

    /// Projects what is recorded, as it is recorded, and listens to the [feeds](crate::Builder::feed), until
    /// the guild is [closed](Self::close). What runs already is returned; what was shut down is
    /// started anew. It needs a Tokio runtime to run on.
    pub fn run(&self) -> Runtime {
        let runtime = {
            let mut at_work = self.at_work();
            let running = at_work.runtime().cloned();
            let runtime = running.unwrap_or_else(|| {
                let (chronicle, settings) = (self.chronicle(), self.inner.set_up.settings.clone());
                Runtime::spawn(chronicle, self.projector(), settings)
            });
            at_work.runtime = Some(runtime.clone());
            runtime
        };
        if !self.inner.set_up.feeds.is_empty() {
            self.orchestrator();
        }
        runtime
    }

    /// Reports what changes in the Ops DB, whoever projects it, and takes in what the
    /// [feeds](crate::Builder::feed) receive: subscribe to it. There is one for a guild, started when it is
    /// first asked for, on the current Tokio runtime.
    pub fn orchestrator(&self) -> CeremonyOrchestrator {
        let mut at_work = self.at_work();
        let running = at_work.orchestrator().cloned();
        let orchestrator = running.unwrap_or_else(|| {
            let SetUp { policy, clock, settings, queued_notices, feeds } = &self.inner.set_up;
            let mut options = CeremonyOrchestrator::new(self.chronicle(), self.ops_db())
                .policy(policy.clone())
                .clock(clock.clone())
                .settings(settings.clone())
                .queued_notices(*queued_notices);
            if let Some(wakeup) = self.wakeup(&at_work) {
                options = options.woken_by(wakeup);
            }
            feeds.iter().fold(options, |options, feed| options.feed(Arc::clone(feed))).start()
        });
        at_work.orchestrator = Some(orchestrator.clone());
        orchestrator
    }

    /// The read models as any process sees them: [wait](ReadModels::wait_until) for what is projected
    /// here or elsewhere.
    pub fn read_models(&self) -> ReadModels {
        let read_models = ReadModels::of(self.ops_db());
        match self.wakeup(&self.at_work()) {
            Some(wakeup) => read_models.woken_by(wakeup),
            None => read_models,
        }
    }

    /// What says that the Ops DB has moved: the runtime here, or the database.
    fn wakeup(&self, at_work: &AtWork) -> Option<Arc<dyn Wakeup>> {
        let runtime = at_work.runtime().cloned();
        let runtime = runtime.map(|runtime| Arc::new(runtime) as Arc<dyn Wakeup>);
        runtime.or_else(|| self.inner.parts.wakeup.clone())
    }

    /// Projects what the log holds now and returns how that went; where the guild runs, waits until
    /// that is projected.
    ///
    /// # Errors
    /// [`GuildError::Runtime`], or [`GuildError::Store`].
    ///
    /// # Cancel safety
    /// Dropped, it stops after the batch under way; what was applied stays.
    pub async fn catch_up(&self) -> Result<Status, GuildError> {
        let running = self.at_work().runtime().cloned();
        if let Some(runtime) = running {
            runtime.wait_until(self.inner.parts.chronicle.head().await?.position).await?;
            return Ok(runtime.status());
        }
        let settings = &self.inner.set_up.settings;
        let caught_up =
            guildhall_projector::catch_up(self.chronicle(), self.projector(), settings, |_| {});
        Ok(caught_up.await?)
    }

    /// Builds the Ops DB anew from the whole log and puts it in the live one's place; that can be read,
    /// and projected into, all the while.
    ///
    /// # Errors
    /// [`GuildError::Runtime`]; the live one is as it was.
    ///
    /// # Cancel safety
    /// Dropped, the unfinished one is thrown away.
    pub async fn rebuild(&self) -> Result<Status, GuildError> {
        let (projector, settings) = (self.projector(), &self.inner.set_up.settings);
        let rebuilt = guildhall_projector::rebuild(self.chronicle(), &*projector, settings, |_| {});
        Ok(rebuilt.await?)
    }

    /// A console over this guild, kept up to date by its orchestrator: say who has
    /// [access](guildhall_console::Console::access), then [serve](guildhall_console::serve) or mount
    /// it. Where the guild [runs](Self::run) already, it shows how the projector is doing. With the feature
    /// `proof` it shows the log's seals and makes evidence.
    #[cfg(feature = "console")]
    pub fn console(&self) -> guildhall_console::Console {
        let console = guildhall_console::Console::new(self.ops_db(), self.orchestrator())
            .policy(self.policy().clone());
        #[cfg(feature = "proof")]
        let console = console.seals(self.seals());
        match self.at_work().runtime() {
            Some(runtime) => console.projector(runtime),
            None => console,
        }
    }

    /// Ends what runs, for every handle, and closes the store: on SQLite the file stands alone then,
    /// and what is asked afterwards is an error. Closing again is welcome, as after an error.
    ///
    /// # Errors
    /// `GuildError::Close` where the file was not closed as it should be; otherwise
    /// [`GuildError::Runtime`] where the projector had failed. Everything has ended nevertheless.
    ///
    /// # Cancel safety
    /// Dropped, what runs ends all the same; closing again closes the store.
    pub async fn close(&self) -> Result<(), GuildError> {
        let AtWork { runtime, orchestrator } = std::mem::take(&mut *self.at_work());
        if let Some(orchestrator) = orchestrator {
            orchestrator.shutdown().await;
        }
        let ended = match runtime {
            Some(runtime) => runtime.shutdown().await,
            None => Ok(()),
        };
        // The runtime has logged what it failed with, so the store's error may come first.
        self.inner.parts.close().await?;
        Ok(ended?)
    }

    /// What a panic leaves under this lock is whole.
    fn at_work(&self) -> MutexGuard<'_, AtWork> {
        self.inner.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
