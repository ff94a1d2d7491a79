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
//! let config = kube::Config::infer().await?;
//! let watcher = CeremonyWatcher::of(config)?.namespaces(["change-control"]);
//! let orchestrator =
//!     CeremonyOrchestrator::new(chronicle, ops_db).feed(Arc::new(watcher)).start();
//! let mut ceremonies = orchestrator.subscribe([Topic::AllCeremonies]).await?;
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
//! it in all namespaces, `rbac/namespaced.yaml` in one. `finalizer/` is an option of the substrate's
//! side: with it, no object goes before its outcome is recorded.
//!
//! | what is used | since which Kubernetes |
//! | --- | --- |
//! | the definition (`apiextensions.k8s.io/v1`), its status, columns and patterns; lists in pages, watches with bookmarks; lists of an exact version, where one does not fit into memory | 1.19 |
//! | what the definition enforces by CEL: a spec that stays, a status that is whole and final | 1.25, on by default; GA in 1.29 |
//! | `finalizer/policy.yaml` (`admissionregistration.k8s.io/v1` ValidatingAdmissionPolicy) | 1.30 |
//!
//! An API server older than 1.25 drops the rules and enforces the rest. Nothing is recorded then that
//! would not be otherwise: the watcher holds what a closed object says to what it said first, and what
//! is incomplete it refuses.
//!
//! A watch is authorized when it begins. Taking the account's rights away, or its token, ends no watch
//! that is under way: it goes on until the API server ends it, at the latest after
//! [`watch_for`](CeremonyWatcher::watch_for) (290 seconds) and what the server adds; the next request
//! is refused, and said. To cut it off at once, stop the watcher.
//!
//! Where one Chronicle receives reports of several clusters, give each watcher the name of its own
//! ([`cluster`](CeremonyWatcher::cluster)): without, they report each other's open ceremonies as
//! deleted.
//!
//! # What is received, whatever happens
//!
//! | what happens | what the watcher does |
//! | --- | --- |
//! | it starts | lists in pages, hands over what is new, earliest first, then watches |
//! | a watch ends, or its connection is cut in mid-line | watches again after the last whole line, or the last bookmark |
//! | that version is gone (410) | lists again; what was open and is not there is reported |
//! | the server is unreachable, silent, overloaded, or forbids it | says so, pauses, and goes on where it was |
//! | that goes for one namespace of several | the same for that one; the others go on |
//! | the server answers, and fails again and again | lists again: what comes after that version may never be reported |
//! | the Chronicle fails | pauses, and goes on: a version is behind it once its steps are durable |
//! | the process starts anew | lists again; what was recorded is known by its event id |
//! | a status of an older generation comes late | waits for one of this generation |
//! | a closed ceremony is said to be open | ignores it |
//! | a closed ceremony is said to have ended otherwise | reports it |
//! | an object cannot be read | reports it, and reads on |
//! | the chain of custody does not take a step | reports it, and tries again with the next list |
//! | a step is said to happen in the future | reports it; it is recorded once it is mended, or true |
//! | nothing says when a ceremony was opened | dates it by the object's creation; where the chain went on since, by the decision, or by when the API server last took a status in; never by the chain's head |
//! | not even that fits the chain | reports it (CC07), until the status has the condition [`OPENED`] or a decision |
//! | an object is deleted while open | reports it; the ceremony stays open, if it was recorded |
//! | it was deleted while no process ran, decided or not | the same, at every list: what the Ops DB holds open and this feed opened is looked for |
//! | a command closes such a ceremony | takes the report back with the next list |
//!
//! *Reports* means: a refusal in the feed's status, on the console, in the log and in
//! `guildhall_feed_steps_total{taken="refused"}`. What is reported is looked at again with the next
//! list, at the latest after [`retry_refused`](CeremonyWatcher::retry_refused).
//!
//! # Map
//!
//! | to change … | look in |
//! | --- | --- |
//! | the resource | `ceremony.rs`; then write its YAML anew, as the failing test says |
//! | what an object says, and when it is believed | `reading.rs` |
//! | what is listed and watched when, and handed over | `watcher.rs` |
//! | the order of what was missed, and the memory for it | `backlog.rs` |
//! | what was handed over before, what is open | `seen.rs` |
//! | which open ceremonies have lost their objects | `missing.rs` |
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
mod missing;
mod place;
mod reading;
mod seen;
mod standing;
mod watcher;
mod wire;

pub use ceremony::{Ceremony, CeremonySpec, CeremonyStatus, DECIDED, FINALIZER, OPENED, Phase};
pub use error::WatchError;
pub use kube;
pub use watcher::{CeremonyWatcher, FEED_NAME};
