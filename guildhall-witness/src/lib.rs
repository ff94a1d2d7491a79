//! Witnesses over HTTP (C2SP tlog-witness), on either side: cosigning the seals of other logs, and having
//! your own cosigned.
//!
//! - [`Witness`] decides, cosigns and keeps one history of each log; [`serve`] puts it on a network.
//! - [`WitnessClient`] asks a witness, over HTTP or HTTPS, and takes no signature that it has not
//!   verified. [`WitnessSink`] is one that a sealer
//!   ([`Sealer`](guildhall_projector::proof::Sealer)) is given.
//!
//! The decisions are made in [`guildhall_proof::witness`], without a network or a disk. This is a
//! separate crate so that HTTP and TLS, in both directions, stay out of the runtime
//! (`guildhall-projector`) and out of what an auditor reads (`guildhall-proof`).
#![deny(missing_docs)]

mod address;
mod client;
mod metrics;
mod rate;
mod server;
mod sink;
mod state;
mod witness;

pub use address::{AddressError, WitnessAddress};
pub use client::{ClientSettings, CosignError, WitnessClient};
pub use guildhall_http::client::TlsError;
pub use server::{PathPrefix, PathPrefixError, ServeError, Served, ServerSettings, serve};
pub use sink::WitnessSink;
pub use state::StateError;
pub use witness::{AddError, LogError, LogState, Witness, WitnessedLog};
