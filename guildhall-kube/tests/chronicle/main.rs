//! What a cluster says of its ceremonies, and what is in the Chronicle then.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

mod dates;
mod missing;
mod namespaces;
mod recorded;
mod refused;
