//! What an auditor runs, on databases that are in order and on databases that their owner has changed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "console")]
mod console;
mod databases;
mod digests;
mod evidence;
mod from_key_to_report;
mod guide;
mod killed;
mod log;
mod sealing;
mod seals;
#[path = "../../../guildhall-store-postgres/tests/server/mod.rs"]
mod server;
mod tables;
