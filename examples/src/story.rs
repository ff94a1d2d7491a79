//! The bundled Chronicle: six weeks of nine artifacts at Calder Harbour, a port that does not
//! exist, told from typed events with fixed ids and fixed times.
//!
//! `data/story.jsonl` is what [`to_jsonl`] returns, kept in the tree so that it can be read and
//! diffed. After a change here, write it anew and look at the difference:
//!
//! ```text
//! UPDATE_STORY=1 cargo test -p guildhall-examples --test story
//! ```
#![expect(
    clippy::unwrap_used,
    reason = "every value is a constant, and a test tells the whole story"
)]

/// The text of a file in `data/content`.
macro_rules! content {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/data/content/", $name, ".json"))
    };
}

mod november;
mod october;
mod teller;

use guildhall_core::Entry;
use guildhall_core::event::wire;

/// The Chronicle as its export has it, a CloudEvent a line: `data/story.jsonl`.
pub const JSONL: &str = include_str!("../data/story.jsonl");

/// The name of the story's Chronicle.
pub const ORIGIN: &str = "guildhall/calder-harbour";

/// The entries, in order.
pub fn entries() -> Vec<Entry> {
    let mut teller = teller::Teller::default();
    let cast = october::tell(&mut teller);
    november::tell(&mut teller, &cast);
    teller.into_entries()
}

/// The entries as JSONL: what [`JSONL`] must be.
pub fn to_jsonl() -> String {
    let origin = ORIGIN.parse().unwrap();
    entries().iter().map(|entry| wire::to_line(entry, &origin).unwrap() + "\n").collect()
}
