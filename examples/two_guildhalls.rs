//! Two Guildhalls that seal and witness each other; then the owner of one rewrites it.
//!
//! `cargo run --features witness --example two_guildhalls`
//!
//! Each seals its log with a key of its own, and has the other cosign each seal over HTTP. Whoever owns a
//! database and its key can write another past and sign it, and every check inside passes. The other's
//! witness has cosigned the first one: it refuses the second, and shows why.

#![allow(clippy::print_stdout, reason = "it tells its story")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use guildhall::prelude::*;
use guildhall::projector::proof::{
    SealSink, SealedLog, Sealer, SealerBuilder, SealerError, SinkError, key_file,
};
use guildhall::sqlite::SqliteStore;
use guildhall::witness::{
    ClientSettings, Served, ServerSettings, Witness, WitnessAddress, WitnessClient, WitnessSink,
    WitnessedLog, serve,
};
use guildhall_core::command::Clock;
use guildhall_core::{Origin, Seals as _};
use guildhall_proof::{KeyType, LogKeys, SignedSeal, Signer as _, SigningKey};
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let harbour = House::found(folder.path(), "harbour").await?;
    let college = House::found(folder.path(), "college").await?;
    let by_college = Witnessing::start(&college, &harbour, folder.path()).await?;
    let by_harbour = Witnessing::start(&harbour, &college, folder.path()).await?;

    harbour.record("berths are allotted by the board").await?;
    college.record("papers are kept for ten years").await?;
    harbour.seal(&by_college).await?;
    college.seal(&by_harbour).await?;
    // A log that grows stays the one that was cosigned.
    harbour.record("berths are let by the day").await?;
    harbour.seal(&by_college).await?;

    println!(
        "\nharbour's owner makes a database of the same name, with the same key and another past"
    );
    let rewritten = harbour.rewritten(folder.path()).await?;
    for terms in ["berths are the mayor's to give", "and were always", "and will be", "for ever"] {
        rewritten.record(terms).await?;
    }
    match rewritten.sealer().sink(by_college.sink(&rewritten)?).seal().await {
        Err(error @ SealerError::SinkHoldsOther { .. }) => println!("the sealer stops: {error}"),
        other => bail!("a log that was rewritten was sealed: {other:?}"),
    }
    // So its owner seals without asking anybody, and then sends the seal.
    rewritten.sealer().seal().await?;
    match by_college.sink(&rewritten)?.take(&rewritten.sealed().await?).await {
        Err(error @ SinkError::Contradicts { .. }) => println!("the witness refuses: {error}"),
        other => bail!("the witness cosigned a second past: {other:?}"),
    }

    for house in [harbour, college, rewritten] {
        house.guild.close().await?;
    }
    by_college.end().await;
    by_harbour.end().await;
    Ok(())
}

/// Who runs a Guildhall: it has a log, a key to seal it with, and another to witness with.
struct House {
    name: &'static str,
    store: SqliteStore,
    guild: Guild,
    origin: Origin,
    key: Arc<SigningKey>,
    witness_key: Arc<SigningKey>,
}

impl House {
    async fn found(folder: &Path, name: &'static str) -> Result<Self> {
        let origin: Origin = format!("{name}.example/chronicle").parse()?;
        let path = |ending: &str| folder.join(format!("{name}{ending}"));
        let key = key_file::create(&path(".key"), (&origin).try_into()?, KeyType::Ed25519)?;
        let witness_key = format!("{name}.example/witness").parse()?;
        let witness_key =
            key_file::create(&path(".witness.key"), witness_key, KeyType::Cosignature)?;
        let (key, witness_key) = (Arc::new(key), Arc::new(witness_key));
        Self::open(&path(".db"), name, origin, key, witness_key).await
    }

    async fn open(
        database: &Path,
        name: &'static str,
        origin: Origin,
        key: Arc<SigningKey>,
        witness_key: Arc<SigningKey>,
    ) -> Result<Self> {
        let store = SqliteStore::open(database).await?;
        let guild = Guild::from_sqlite(store.clone()).await?;
        guild.chronicle().fix_origin(origin.clone()).await?;
        Ok(Self { name, store, guild, origin, key, witness_key })
    }

    /// The same house by name and keys, with a database that has another past.
    async fn rewritten(&self, folder: &Path) -> Result<Self> {
        let (key, witness_key) = (Arc::clone(&self.key), Arc::clone(&self.witness_key));
        let database = folder.join("rewritten.db");
        Self::open(&database, self.name, self.origin.clone(), key, witness_key).await
    }

    async fn record(&self, terms: &str) -> Result<()> {
        let at = "2026-11-23T10:05:00Z".parse()?;
        self.guild.recorder().record(AccordBound::new(terms, "ada", "{}".parse()?, at)).await?;
        Ok(())
    }

    fn sealer(&self) -> SealerBuilder {
        Sealer::builder(Arc::new(self.store.chronicle()), self.key.clone())
    }

    /// Seals what is new, and has it cosigned.
    async fn seal(&self, witness: &Witnessing) -> Result<()> {
        let status = self.sealer().sink(witness.sink(self)?).seal().await?;
        let size = Position::try_from(status.size)?;
        let cosignatures = self.store.chronicle().cosignatures(size).await?;
        let cosignature = cosignatures.first().context("nobody cosigned")?;
        println!("{} sealed {size} entries, which {} cosigned", self.name, cosignature.key_name);
        Ok(())
    }

    /// The log up to its last seal.
    async fn sealed(&self) -> Result<SealedLog> {
        let chronicle = self.store.chronicle();
        let seal = chronicle.last_seal().await?.context("it was never sealed")?;
        Ok(SealedLog::load(Arc::new(chronicle), SignedSeal::parse(&seal.note)?).await?)
    }
}

/// A house's witness of another's log, on a network.
struct Witnessing {
    served: Served,
    stop: oneshot::Sender<()>,
    address: WitnessAddress,
}

impl Witnessing {
    async fn start(witness: &House, of: &House, folder: &Path) -> Result<Self> {
        let log = WitnessedLog::new(of.origin.clone(), of.key.key().clone())?;
        let state = folder.join(format!("{}.witness.key.state", witness.name));
        let key = witness.witness_key.clone();
        let cosigner = Witness::start(key.clone(), [log], &state, Clock::system())?;
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let served = serve(cosigner, loopback, ServerSettings::default(), stopped).await?;
        let address = format!("http://{}", served.address());
        let address = WitnessAddress::new(&address, key.key().clone())?;
        Ok(Self { served, stop, address })
    }

    /// What the sealer of this house's log is given.
    fn sink(&self, house: &House) -> Result<Arc<dyn SealSink>> {
        let client = WitnessClient::new(self.address.clone(), &ClientSettings::default())?;
        let keys = LogKeys::single(house.origin.clone(), house.key.key().clone())?;
        Ok(Arc::new(WitnessSink::new(client, keys)))
    }

    async fn end(self) {
        drop(self.stop);
        self.served.finished().await;
    }
}
