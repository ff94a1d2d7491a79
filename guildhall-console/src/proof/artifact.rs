//! What a page of an artifact, or of an entry, says of the seal that covers it.

use guildhall_core::{ArtifactId, Position, ReadLimit, Seals, StoredStream, StreamId, Timestamp};
use guildhall_proof::index::bucket_of;
use maud::{Markup, html};

use super::page::{signatures, witnesses};
use super::seals::{SealRow, last};
use crate::app::App;
use crate::error::RequestError;
use crate::format::{Tone, ago, badge, count, position, text};
use crate::pages::nothing;
use crate::view::View;

/// The seal that covers an artifact, and where its evidence is. A console without seals has none of it, nor has a page
/// that is not about now.
pub(crate) async fn of_artifact(view: &View, id: ArtifactId) -> Markup {
    let (app, links) = (&view.app, view.links());
    let Some(log) = app.proof.log.as_ref().filter(|_| view.moment.is_none()) else {
        return html! {};
    };
    let found = Covered::load(app, &**log, id.into()).await;
    panel(view, found, |found, now| {
        html! {
            @match (&found.record, found.newer) {
                (None, _) => p.verdict { (badge(Tone::Busy, "not sealed yet")) " None of its entries was there when the log was last sealed." },
                (Some(_), None) => p.verdict { (badge(Tone::Good, "sealed")) " All of its entries, by the last seal." },
                (Some(_), Some(newer)) => p.verdict { (badge(Tone::Busy, "sealed in part")) " Its entries from position " (position(links, newer)) " on are not sealed yet." },
            }
            (seal(&found.seal, now))
            @if found.record.is_some() {
                p.files { a href={ (app.base) "/artifacts/" (id) "/evidence.json" } download { "Evidence" } span.muted { " its whole history up to that seal; `guildhall check` needs the file and public keys" } }
            }
        }
    })
}

/// The same of one entry.
pub(crate) async fn of_entry(view: &View, at: Position) -> Markup {
    let app = &view.app;
    let Some(log) = app.proof.log.as_ref().filter(|_| view.moment.is_none()) else {
        return html! {};
    };
    let found = last(&app.proof, &**log).await;
    panel(view, found, |found, now| {
        html! {
            @if found.size < at { p.verdict { (badge(Tone::Busy, "not sealed yet")) " It came after the last seal, of " (count(found.size.get())) " entries." } }
            @else {
                p.verdict { (badge(Tone::Good, "sealed")) " The last seal covers it." }
                (seal(found, now))
                p.files { a href={ (app.base) "/log/" (at) "/entry.tlog-proof" } download { "Proof" } span.muted { " that it was sealed in its place (C2SP tlog-proof)" } }
            }
        }
    })
}

/// A panel of what was found. What cannot be read is said, and hides nothing else of the page.
fn panel<T>(
    view: &View,
    found: Result<Option<T>, RequestError>,
    shown: impl FnOnce(&T, Timestamp) -> Markup,
) -> Markup {
    if let Err(error) = &found {
        error.log();
    }
    html! {
        section #sealed .panel data-live aria-labelledby="sealed-title" {
            h2 #sealed-title { a href=(view.links().to("/proof")) { "Seal" } }
            @match found {
                Ok(Some(found)) => (shown(&found, view.now)),
                Ok(None) => (nothing("The log was never sealed.")),
                Err(error) => p.verdict { (badge(Tone::Bad, "unreadable")) " " (text(&error.to_string())) "." },
            }
        }
    }
}

fn seal(row: &SealRow, now: Timestamp) -> Markup {
    html! {
        dl.facts {
            dt { "Last seal" } dd { (count(row.size.get())) " entries, " (ago(row.sealed_at, now)) }
            dt { "Signed" } dd { (signatures(row)) }
            dt { "Witnesses" } dd { (witnesses(row, Tone::Bad, now)) }
        }
    }
}

struct Covered {
    seal: SealRow,
    /// Where the stream ended at that seal.
    record: Option<StoredStream>,
    /// The first entry after that.
    newer: Option<Position>,
}

impl Covered {
    async fn load(
        app: &App,
        log: &dyn Seals,
        stream: StreamId,
    ) -> Result<Option<Self>, RequestError> {
        let Some(seal) = last(&app.proof, log).await? else { return Ok(None) };
        let records = log.streams_in(&[bucket_of(stream)]).await?;
        let record = records.into_iter().find(|record| record.stream_id == stream);
        let newer = match &record {
            Some(record) => {
                let limit = ReadLimit::entries(1);
                let next = log.read_stream(stream, record.version, limit).await?;
                next.first().map(|entry| entry.position)
            }
            None => None,
        };
        Ok(Some(Self { seal, record, newer }))
    }
}
