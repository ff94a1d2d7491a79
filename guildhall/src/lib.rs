//! Guildhall: a log of what is decided and observed about configuration, checked, and the tables that
//! answer from it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use guildhall::prelude::*;
//!
//! // One that stays: Guild::open("sqlite:guildhall.db").await?, or "postgres://…".
//! let guild = Guild::in_memory();
//! let (runtime, recorder) = (guild.run(), guild.recorder());
//!
//! let at = "2026-11-23T10:05:00Z".parse()?;
//! let accord = AccordBound::new("change control", "board", "{}".parse()?, at);
//! let (content, schema) = (r#"{"ttl": 300}"#.parse()?, "https://example.com/zone.json");
//! let zone = ArtifactRegistered::new(
//!     accord.accord_id, artifact_type::DNS_ZONE, "example.com", Tier::ZERO, content, schema,
//! );
//! let zone_id = zone.artifact_id;
//! recorder.record(accord).await?;
//! recorder.record(zone).await?;
//! let draft = Act::new("ada", "first draft", at);
//! let drafted =
//!     recorder.record(Command::transition(zone_id, CustodyState::Drafted, draft)).await?;
//!
//! runtime.wait_until(drafted.position).await?; // what is read from here on shows it
//! let artifacts = guild.ops_db().artifacts(&ArtifactQuery::default()).await?;
//! assert_eq!(artifacts.rows[0].custody_state, Some(CustodyState::Drafted));
//! guild.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Guild`] owns the Chronicle, the Ops DB, the projector between them and the orchestrator that
//! tells what changed. What they have to agree on, the [policy](Builder::policy) and the
//! [clock](Builder::clock), is [given once](Guild::builder) and reaches all of them.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `sqlite` (default) | a guild in a file |
//! | `postgres` | a guild in a schema of a PostgreSQL database |
//! | `tls` (default) | TLS to PostgreSQL, where `postgres` is on; without, a URL that asks for it is refused |
#![cfg_attr(
    feature = "console",
    doc = "| `console` | [`Guild::console`]: pages, JSON and live updates |"
)]
#![cfg_attr(
    not(feature = "console"),
    doc = "| `console` | `Guild::console`: pages, JSON and live updates |"
)]
#![cfg_attr(
    feature = "proof",
    doc = "| `proof` | [`Guild::sealer`]: what is recorded is signed, so that others can check it, also in the console |"
)]
#![cfg_attr(
    not(feature = "proof"),
    doc = "| `proof` | `Guild::sealer`: what is recorded is signed, so that others can check it, also in the console |"
)]
//! | `kube` | a [feed](Builder::feed) of the ceremonies that a Kubernetes cluster holds |
//! | `witness` | a witness of other logs, and what has seals cosigned by witnesses |
//!
//! # What stays usable alone
//!
//! All of it: a guild only puts the parts together, and decides nothing.
//!
//! - [`core`]: events, the chain of custody, the fold and the traits; stores in memory.
//! - `sqlite`, `postgres`: a store, opened with all its options or for reading only; a store that is
//!   open already becomes a guild by `Guild::from_sqlite` or `Guild::from_postgres`.
//! - [`projector`]: the runtime, and the orchestrator, over any store that implements core's traits.
//! - `console`, `kube`: over any Ops DB and any orchestrator.
//! - `witness`: over any log that speaks C2SP tlog-checkpoint, and any witness that speaks tlog-witness.
#![deny(missing_docs)]

/// The guide is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embed.md")]
mod guide {}

mod builder;
mod error;
mod guild;
pub mod prelude;
mod set_up;
mod source;
mod store;

pub use builder::Builder;
pub use error::GuildError;
pub use guild::Guild;
pub use source::{Place, Source};

#[cfg(feature = "console")]
pub use guildhall_console as console;
pub use guildhall_core as core;
#[cfg(feature = "kube")]
pub use guildhall_kube as kube;
pub use guildhall_projector as projector;
#[cfg(feature = "proof")]
pub use guildhall_proof as proof;
#[cfg(feature = "postgres")]
pub use guildhall_store_postgres as postgres;
#[cfg(feature = "sqlite")]
pub use guildhall_store_sqlite as sqlite;
#[cfg(feature = "witness")]
pub use guildhall_witness as witness;
