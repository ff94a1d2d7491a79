//! A guild on SQLite with a console in front of it.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use guildhall_console::{Access, Console, Served, serve};
use guildhall_core::command::{Act, Command, Recorder};
use guildhall_core::jsonl::{self, ImportOptions};
use guildhall_core::{
    AccordBound, ArtifactId, ArtifactRegistered, Chronicle, CustodyPolicy, CustodyState, Json,
    OpsDb, Position, Seals, Tier, Timestamp,
};
use guildhall_projector::ceremony::CeremonyOrchestrator;
use guildhall_projector::{Runtime, Settings};
use guildhall_store_sqlite::SqliteStore;
use tokio::time::timeout;

/// The bundled story of nine artifacts.
const STORY: &str = include_str!("../../../examples/data/story.jsonl");

/// How long anything may take that has no promise of its own.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Guild {
    pub(crate) chronicle: Arc<dyn Chronicle>,
    pub(crate) log: Arc<dyn Seals>,
    pub(crate) ops_db: Arc<dyn OpsDb>,
    pub(crate) runtime: Runtime,
    pub(crate) orchestrator: CeremonyOrchestrator,
    pub(crate) recorder: Recorder,
    folder: tempfile::TempDir,
}

impl Guild {
    /// With nothing in it.
    pub(crate) async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("guildhall.db")).await.unwrap();
        let log: Arc<dyn Seals> = Arc::new(store.chronicle());
        let chronicle: Arc<dyn Chronicle> = log.clone();
        let ops_db: Arc<dyn OpsDb> = Arc::new(store.ops_db());
        let projector = Arc::new(store.projector().start().unwrap());
        let runtime = Runtime::spawn(Arc::clone(&chronicle), projector, Settings::default());
        let orchestrator = CeremonyOrchestrator::new(Arc::clone(&chronicle), Arc::clone(&ops_db))
            .woken_by(Arc::new(runtime.clone()))
            .start();
        let recorder = Recorder::new(Arc::clone(&chronicle), CustodyPolicy::standard());
        Self { chronicle, log, ops_db, runtime, orchestrator, recorder, folder }
    }

    /// With the bundled story in it.
    pub(crate) async fn with_story() -> Self {
        Self::with_beginning(usize::MAX).await
    }

    /// With so many of the story's first entries in it.
    pub(crate) async fn with_beginning(entries: usize) -> Self {
        let guild = Self::empty().await;
        let options = ImportOptions::default();
        let story: String = STORY.split_inclusive('\n').take(entries).collect();
        jsonl::import(&*guild.chronicle, story.as_bytes(), &options, |_| {}).await.unwrap();
        let head = guild.chronicle.head().await.unwrap().position;
        guild.applied(head).await;
        guild
    }

    pub(crate) async fn applied(&self, position: Position) {
        timeout(SOON, self.runtime.wait_until(position)).await.unwrap().unwrap();
    }

    /// Records, and waits until it can be read.
    pub(crate) async fn record(&self, command: impl Into<Command> + Send) -> Position {
        let position = self.recorder.record(command).await.unwrap().position;
        self.applied(position).await;
        position
    }

    /// A drafted artifact of this name, with all texts that people write being `text`.
    pub(crate) async fn draft(&self, name: &str, text: &str) -> ArtifactId {
        let quoted = serde_json::to_string(text).unwrap();
        let json = Json::parse(&format!("{{\"text\":{quoted}}}")).unwrap();
        let accord = AccordBound::new(text, text, json.clone(), at(0));
        let artifact = ArtifactRegistered::new(
            accord.accord_id,
            "dns_zone",
            name,
            Tier::ALL[1],
            json.clone(),
            "https://example.com/zone.json",
        );
        let id = artifact.artifact_id;
        self.record(accord).await;
        self.record(artifact).await;
        let act = Act::new(text, text, at(1)).with_evidence(json);
        self.record(Command::transition(id, CustodyState::Drafted, act)).await;
        id
    }

    /// Changes the tables behind everybody's back.
    pub(crate) fn meddle(&self, sql: &str) {
        self.connect().execute_batch(sql).unwrap();
    }

    /// The file, as its owner opens it.
    pub(crate) fn connect(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("guildhall.db")).unwrap()
    }

    pub(crate) fn console(&self) -> Console {
        let ops_db = Arc::clone(&self.ops_db);
        let console = Console::new(ops_db, self.orchestrator.clone()).projector(&self.runtime);
        #[cfg(feature = "proof")]
        let console = console.seals(Arc::clone(&self.log));
        console
    }

    /// The log's key.
    #[cfg(feature = "proof")]
    pub(crate) async fn key(&self) -> guildhall_proof::SigningKey {
        use guildhall_proof::{KeyType, SigningKey};
        let origin = self.log.origin().await.unwrap().unwrap();
        SigningKey::from_seed(origin.as_str().parse().unwrap(), KeyType::Ed25519, &[1; 32]).unwrap()
    }

    /// Seals what is new; returns how many entries are sealed, all of which can be read.
    #[cfg(feature = "proof")]
    pub(crate) async fn seal(&self) -> Position {
        use guildhall_projector::proof::Sealer;
        let sealer = Sealer::builder(Arc::clone(&self.log), Arc::new(self.key().await));
        let size = Position::try_from(sealer.seal().await.unwrap().size).unwrap();
        self.applied(size).await;
        size
    }

    pub(crate) async fn serve(&self, access: Access) -> Served {
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        serve(self.console().access(access), address, std::future::pending()).await.unwrap()
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000).unwrap()
}
