//! What the benchmarks share: rounds in child processes, figures, tables.
//!
//! Every figure stands beside its floor of the same run. What is compared takes turns, so that a
//! machine that slows down slows all of it; each turn is a process of its own, so that nobody
//! inherits a warm cache or a large heap; what is reported is the median.
#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

pub mod as_of;
pub mod cluster;
pub mod jsonl;
pub mod machine;
pub mod postgres;
pub mod postgres_append;
pub mod postgres_latency;
#[cfg(feature = "proof")]
pub mod proving;
pub mod recorded;
pub mod report;
pub mod rounds;
#[cfg(feature = "proof")]
pub mod sealing;
pub mod sqlite;
pub mod sqlite_append;
pub mod tasks;
