//! What the examples share: the bundled Chronicle and how it is told, and the operator's report.
//!
//! Each file beside this folder is one program with one story; run it with
//! `cargo run --example projector` and so on.
#![deny(missing_docs)]

pub mod address;
pub mod database;
pub mod ending;
#[cfg(feature = "console")]
pub mod live;
pub mod output;
pub mod progress;
pub mod report;
pub mod story;
