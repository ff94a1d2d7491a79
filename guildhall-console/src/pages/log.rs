//! One position of the log, and one entry in quarantine: what was recorded, and what became of it.

use axum::response::Response;
use guildhall_core::event::TYPE_PREFIX;
use guildhall_core::{
    AccordId, ArtifactId, Checkpoint, Entry, Json, OPS_DB, OpsDb, Position, QuarantinedEntry,
    ReadLimit, StoreError,
};
use maud::{Markup, html};

use super::content::readable;
use super::{Place, heading, shown, whole};
use crate::api::Named;
use crate::error::RequestError;
use crate::format::{self, Tone, ago, artifact, badge, count, short, text};
use crate::proof;
use crate::standing::Standing;
use crate::view::{Seen, View};

/// What a stream is about, where there is a page of it.
enum About {
    Artifact(ArtifactId, String),
    Accord(AccordId, String),
    Other,
}

struct Found {
    entry: Option<Entry>,
    refused: Option<QuarantinedEntry>,
    about: About,
    standing: Standing,
    is_applied: bool,
    /// Where the log ends, at the moment.
    until: Position,
}

async fn load(view: &View, position: Position) -> Result<Found, RequestError> {
    let app = &view.app;
    let head = app.orchestrator.head().await?;
    let until = view.moment.map_or(head, |moment| moment.position);
    let chronicle = app.orchestrator.chronicle();
    let read = chronicle.read(position.previous(), ReadLimit::entries(1)).await?;
    let entry = read.into_iter().find(|entry| entry.position == position && position <= until);
    let moment = view.ops_db.snapshot().await?;
    let checkpoint: Option<Checkpoint> = moment.checkpoint(OPS_DB).await?;
    let refused = moment.quarantined_at(position).await?.filter(|it| it.position <= until);
    let about = match &entry {
        Some(entry) => about(&*moment, entry).await?,
        None => About::Other,
    };
    drop(moment);
    let is_applied = checkpoint.as_ref().is_some_and(|it| it.position >= position);
    let standing = Standing::at(app, head, checkpoint).await?;
    Ok(Found { entry, refused, about, standing, is_applied, until })
}

async fn about(moment: &dyn OpsDb, entry: &Entry) -> Result<About, StoreError> {
    let id = *entry.stream_id.as_uuid();
    if let Some(found) = moment.artifact(ArtifactId::from_uuid(id)).await? {
        return Ok(About::Artifact(found.artifact.id, found.artifact.name));
    }
    let accord = moment.accord(AccordId::from_uuid(id)).await?;
    Ok(accord.map_or(About::Other, |accord| About::Accord(accord.id, accord.name)))
}

pub(crate) async fn position(
    view: View,
    Named(position): Named<Position>,
) -> Result<Response, RequestError> {
    let found = load(&view, position).await?;
    let entry = found.entry.as_ref().ok_or(RequestError::Missing("position of the log"))?;
    let seen = view.seen();
    let title = format!("Position {}", count(position.get()));
    let (before, after) = (position.previous(), position.next().filter(|it| *it <= found.until));
    let sealed = proof::of_entry(&view, position).await;
    let content = html! {
        (heading(&html! { (title) }, &html! {}))
        (recorded(seen, entry, &found))
        (sealed)
        nav.paging aria-label="Positions" {
            @if before > Position::ZERO { a href=(view.links().to(format_args!("/log/{before}"))) rel="prev" { "‹ Position " (count(before.get())) } }
            @if let Some(after) = after { a href=(view.links().to(format_args!("/log/{after}"))) rel="next" { "Position " (count(after.get())) " ›" } }
        }
    };
    Ok(shown(whole(&view, Place::Log, &title, Some(&found.standing), &content)))
}

pub(crate) async fn quarantined(
    view: View,
    Named(position): Named<Position>,
) -> Result<Response, RequestError> {
    let found = load(&view, position).await?;
    let refused = found.refused.as_ref().ok_or(RequestError::Missing("entry in quarantine"))?;
    let seen = view.seen();
    let content = html! {
        (heading(&html! { "Quarantined entry" }, &html! { (badge(Tone::Bad, refused.code.as_str())) }))
        section #why .panel data-live aria-labelledby="why-title" {
            h2 #why-title { "Why it was refused" }
            p { (text(&refused.reason)) "." }
            p.muted { "Its data breaks " code { (refused.code.as_str()) } ": " (refused.code.meaning()) ". It stays in the log, and no table shows it. What it meant to say has to be recorded anew." }
        }
        @match &found.entry {
            Some(entry) => (recorded(seen, entry, &found)),
            None => section.panel { p { "The log has no entry at position " (count(position.get())) " any more." } },
        }
    };
    Ok(shown(whole(&view, Place::Quarantine, "Quarantined entry", Some(&found.standing), &content)))
}

/// The entry as it stands in the log.
fn recorded(Seen { links, now }: Seen<'_>, entry: &Entry, found: &Found) -> Markup {
    let name = entry.event_type.as_str().trim_start_matches(TYPE_PREFIX);
    html! {
        section #entry .panel data-live aria-labelledby="entry-title" {
            h2 #entry-title { bdi { (name) } " "
                @if let Some(refused) = &found.refused { (badge(Tone::Bad, "quarantined")) " " a href=(links.to(format_args!("/quarantine/{}", refused.position))) { code { (refused.code.as_str()) } } }
                @else if found.is_applied { (badge(Tone::Good, "applied")) }
                @else { (badge(Tone::Busy, "not applied yet")) }
            }
            dl.facts {
                dt { "Position" } dd { (format::position(links, entry.position)) }
                dt { "About" }
                dd { @match &found.about {
                    About::Artifact(id, name) => (artifact(links, *id, name)),
                    About::Accord(id, name) => a.name href=(links.to(format_args!("/accords/{id}"))) { (text(name)) },
                    About::Other => span.muted { "nothing that the tables hold" },
                } }
                dt { "Stream" } dd { (short("entry", "stream", &entry.stream_id.to_string())) " version " (entry.version) }
                dt { "Event" } dd { (short("entry", "event", &entry.event_id.to_string())) }
                dt { "Recorded" } dd { (ago(entry.recorded_at, now)) }
                dt { "Leaf hash" } dd { (short("entry", "leaf", &entry.leaf_hash.to_string())) }
                @for (name, value) in [("Cause", &entry.metadata.causation_id), ("Correlation", &entry.metadata.correlation_id), ("Trace", &entry.metadata.traceparent)] {
                    @if let Some(value) = value { dt { (name) } dd { (text(value)) } }
                }
            }
            @match Json::parse(&entry.payload) {
                Ok(data) => (readable(&data, "Data")),
                Err(_) => pre.json tabindex="0" role="group" aria-label="Data" { code { (entry.payload.chars().take(4096).collect::<String>()) } },
            }
        }
    }
}
