//! The one conformance suite: what every Chronicle, projector and Ops DB has to do, as tests that
//! any store can run.
//!
//! A store joins with one [`Harness`] and one line, which becomes a test for each scenario:
//!
//! ```text
//! guildhall_conformance::suite!(MyHarness);
//! ```
//!
//! What a store returns is compared with the [reference](mod@reference) model, over logs that [`workload`]
//! makes from a seed. `PROPTEST_CASES` sets how many of them each property is tried on.
#![deny(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::large_futures,
    reason = "scenarios are tests"
)]

mod answers;
pub mod faults;
pub mod harness;
pub mod log;
mod notes;
pub mod reference;
pub mod scenarios;
pub mod tables;

use std::time::Duration;

/// The guide is compiled, and run where it can be.
#[cfg(doctest)]
#[doc = include_str!("../../docs/write-a-store.md")]
mod guide {}

pub use guildhall_workload::{self as workload, random};
pub use harness::{Harness, ProjectorSettings};
pub use tables::Compare;

/// How long a scenario may take; one that hangs fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs one scenario on a fresh store, on a runtime of its own. [`suite!`] calls it.
///
/// # Panics
/// Where the scenario fails or takes too long.
pub fn run<H, S, F>(scenario: S)
where
    H: Harness,
    S: FnOnce(H) -> F,
    F: Future<Output = ()>,
{
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let whole = async { scenario(H::fresh().await).await };
        tokio::time::timeout(PATIENCE, Box::pin(whole)).await.expect("the scenario hangs");
    });
}
