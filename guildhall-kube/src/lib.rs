//! Guildhall's Kubernetes watcher: ceremonies that a cluster holds become entries of the
//! Chronicle, as they happen.
//!
//! A [`Ceremony`] is a custom resource: its spec names the artifact, the content, who asks, why and
//! under which accord; its status, which the substrate writes, says where the decision stands. A
//! [`CeremonyWatcher`] follows these objects and hands over what happened in them to the
//! [orchestrator](guildhall_projector::ceremony), which records it through the checked append: the
//! opening transition of an open ceremony, the closing one of its outcome. It decides nothing, and
//! writes nothing to the cluster.
//!
//! ```no_run
//! # async fn example(
//! #     chronicle: std::sync::Arc<dyn guildhall_core::Chronicle>,
//! #     ops_db: std::sync::Arc<dyn guildhall_core::OpsDb>,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use guildhall_kube::{CeremonyWatcher, kube};
//! use guildhall_projector::ceremony::{CeremonyOrchestrator, Topic};
//!
//! // By $KUBECONFIG, ~/.kube/config, or the account of the pod.
//! let mut config = kube::Config::infer().await?;
//! config.default_retry = false;
//! let client = kube::Client::try_from(config)?;
//! let watcher = CeremonyWatcher::new(client).namespaces(["change-control"]);
//! let orchestrator =
//!     CeremonyOrchestrator::new(chronicle, ops_db).feed(Arc::new(watcher)).start();
//! let mut ceremonies = orchestrator.subscribe([Topic::Ceremonies]).await?;
//! while let Some(told) = ceremonies.next().await {
//!     println!("{told:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # In the cluster
//!
//! `crds/ceremonies.substrate.guildhouse.dev.yaml` defines the resource; it is made from
//! [`Ceremony`]. What the watcher may do is to list and watch ceremonies: `rbac/everywhere.yaml` lets
//! it in all namespaces, `rbac/namespaced.yaml` in one.
//!
//! # What is heard, whatever happens
//!
//! | what happens | what the watcher does |
//! | --- | --- |
//! | it starts | lists in pages, hands over what is new, earliest first, then watches |
//! | a watch ends, or its connection is cut in mid-line | watches again after the last whole line, or the last bookmark |
//! | that version is gone (410) | lists again; what was open and is not there is reported |
//! | the server is unreachable, silent, overloaded, or forbids it | says so, pauses, and goes on where it was |
//! | that goes for one namespace of several | the same for that one; the others are heard |
//! | the server answers, and fails again and again | lists again: what comes after that version may never be told |
//! | the Chronicle fails | pauses, and goes on: a version is behind it once its steps are durable |
//! | the process starts anew | lists again; what was recorded is known by its event id |
//! | a status of an older generation comes late | waits for one of this generation |
//! | a closed ceremony is said to be open | ignores it |
//! | a closed ceremony is said to have ended otherwise | reports it |
//! | an object cannot be read | reports it, and reads on |
//! | the chain of custody does not take a step | reports it, and tries again with the next list |
//! | an object is deleted while open | reports it; the ceremony stays open, if it was recorded |
//!
//! *Reports* means: a refusal in the feed's status, on the console and in
//! `guildhall_feed_steps_total{taken="refused"}`. What was deleted while no process ran is seen by
//! nobody: the console's oldest open ceremonies tell.
//!
//! # Map
//!
//! | to change … | look in |
//! | --- | --- |
//! | the resource | `ceremony.rs`; then write its YAML anew, as the failing test says |
//! | what an object says, and when it is believed | `reading.rs` |
//! | what is listed and watched when, and handed over | `watcher.rs` |
//! | the order of what was missed, and the memory for it | `backlog.rs` |
//! | what was handed over before, what is open | `memory.rs` |
//! | whether it counts as listening | `standing.rs` |
//! | requests, pages, lines, and their limits | `wire.rs` |
//! | what failures are called | `error.rs` |
//!
//! `kube::runtime::watcher` resumes, pages and lists again as well. It is not used, since it keeps
//! where it stands to itself: here, a version is behind the watcher only once its steps are durable,
//! a version that fails again and again is given up, and the order of a list is by what was decided
//! first, where a later ceremony cannot be opened before the earlier is closed.
//!
//! # The version of Kubernetes' API
//!
//! `k8s-openapi` wants exactly one chosen for a whole program. The feature `earliest`, on by
//! default, chooses the oldest that it knows; a program that chooses its own turns it off.
#![deny(missing_docs)]

mod backlog;
mod ceremony;
mod error;
mod memory;
mod reading;
mod standing;
mod watcher;
mod wire;

pub use ceremony::{Ceremony, CeremonySpec, CeremonyStatus, DECIDED, OPENED, Phase};
pub use error::WatchError;
pub use kube;
pub use watcher::{CeremonyWatcher, FEED_NAME};
