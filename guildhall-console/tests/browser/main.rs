//! The pages in a real browser: what they show, that they stay up to date, that everyone can use
//! them, and that no text of somebody else's runs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod chromium;
#[path = "../common/mod.rs"]
mod common;

mod changes;
mod details;
mod everyone;
mod filters;
mod hostile;
mod keys;
mod lists;
mod live;
mod shown;
mod then;

use common::Guild;
use guildhall_console::Access;
use guildhall_core::ArtifactQuery;

const PAGES: [(&str, &str); 8] = [
    ("dashboard", "/"),
    ("changes", "/changes?from=0"),
    ("ceremonies", "/ceremonies"),
    ("artifacts", "/artifacts"),
    ("artifact", "/artifacts/"),
    ("quarantine", "/quarantine"),
    ("posture", "/posture?by=tier&days=365"),
    ("proof", "/proof"),
];

/// Whether a page says that it is up to date.
const IS_UP_TO_DATE: &str = "document.getElementById('live').innerText === 'up to date'";

async fn url(guild: &Guild) -> String {
    format!("http://{}", guild.serve(Access::Loopback).await.address())
}

/// The path of a page; of an artifact, of the one with the longest chain.
async fn path(guild: &Guild, path: &str) -> String {
    if path != "/artifacts/" {
        return path.to_owned();
    }
    let artifacts = guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows;
    let mut longest = (0, path.to_owned());
    for row in artifacts {
        let links = guild.ops_db.chain(row.id, None, 500).await.unwrap().rows.len();
        longest = longest.max((links, format!("{path}{}", row.id)));
    }
    longest.1
}
