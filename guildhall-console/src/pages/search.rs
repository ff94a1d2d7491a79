//! What was found for a text, by kind.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use guildhall_core::OPS_DB;
use maud::{Markup, html};

use super::names_of;
use super::{Place, heading, nothing, shown, whole};
use crate::app::Shared;
use crate::error::RequestError;
use crate::format::{self, artifact, decided, text};
use crate::params::Params;
use crate::search::{find, spellings, text_of};
use crate::standing::Standing;

pub(crate) async fn page(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let wanted = text_of(&Params::parse(query.as_deref()))?;
    let head = app.orchestrator.head().await?;
    let moment = app.ops_db.snapshot().await?;
    let checkpoint = moment.checkpoint(OPS_DB).await?;
    let found = find(&*moment, &wanted, head).await?;
    let names = names_of(&*moment, found.deployments.iter().map(|row| row.artifact_id)).await?;
    drop(moment);
    let standing = Standing::at(&app, head, checkpoint).await?;
    let base = app.base.as_str();
    let begins: Vec<_> = spellings(&wanted).into_iter().map(|it| ("name_begins", it)).collect();
    let begins = form_urlencoded::Serializer::new(String::new()).extend_pairs(begins).finish();
    let target: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    let content = html! {
        (heading(&html! { "Search" }, &html! { @if !wanted.is_empty() { span.muted { "for " (text(&wanted)) } } }))
        div #found data-live {
            @if wanted.is_empty() { section.panel { (nothing("Type how a name, a target or a CID begins, an id, or a position of the log.")) } }
            @else if found.is_empty() { section.panel { (nothing("Nothing begins so, and nothing has this id. Parts of names are looked for in the list of artifacts.")) p.more { a href={ (base) "/artifacts?name_contains=" (target) } { "Artifacts whose name contains it" } } } }
            @if let Some(position) = found.position {
                (group("position", "Position of the log", None, &html! { li id="found-position" { a.name href={ (base) "/log/" (position) } { "position " (format::count(position.get())) } } }))
            }
            @if !found.artifacts.is_empty() {
                (group("artifacts", "Artifacts", Some(&format!("{base}/artifacts?{begins}")), &html! {
                    @for (nth, row) in found.artifacts.iter().enumerate() {
                        li id={ "found-a" (nth) "-" (row.id) } { (artifact(base, row.id, &row.name)) span.muted { (format::words(&row.artifact_type)) " · tier " (row.tier.get()) } span.end { (format::custody(row.custody_state)) " " (format::posture(row.custody_state, row.drift)) } }
                    }
                }))
            }
            @if !found.ceremonies.is_empty() {
                (group("ceremonies", "Ceremonies", None, &html! {
                    @for row in &found.ceremonies {
                        li id={ "found-c" (row.opened.position) } { @if let Some(id) = row.ceremony_id { a.name href={ (base) "/ceremonies/" (id) } { "over " (text(&row.name)) } } span.muted { "opened by " (text(&row.opened.actor)) } @if let Some(closed) = &row.closed { span.end { (decided(closed.to_state)) } } }
                    }
                }))
            }
            @if !found.accords.is_empty() {
                (group("accords", "Accords", Some(&format!("{base}/accords?{begins}")), &html! {
                    @for (nth, row) in found.accords.iter().enumerate() { li id={ "found-b" (nth) "-" (row.id) } { a.name href={ (base) "/accords/" (row.id) } { (text(&row.name)) } span.muted { "bound by " (text(&row.bound_by)) } } }
                }))
            }
            @if !found.deployments.is_empty() {
                (group("targets", "Targets", Some(&format!("{base}/deployments?target_begins={target}")), &html! {
                    @for row in &found.deployments {
                        @let id: String = format!("found-t{}-{}", row.artifact_id, format::key(&row.target));
                        li id=(id) { a.name href={ (base) "/deployments?target=" (format::key(&row.target)) } { (text(&row.target)) } (artifact(base, row.artifact_id, names.get(&row.artifact_id).map_or("", String::as_str))) span.end { (format::health(row.health)) } }
                    }
                }))
            }
        }
    };
    Ok(shown(whole(&app, Place::Search, "Search", Some(&standing), &content)))
}

fn group(id: &str, title: &str, all: Option<&str>, rows: &Markup) -> Markup {
    html! {
        section.panel id={ "found-" (id) "-panel" } aria-labelledby={ "found-" (id) "-title" } {
            h2 id={ "found-" (id) "-title" } { (title) }
            ul.list { (rows) }
            @if let Some(all) = all { p.more { a href=(all) { "As a list" } } }
        }
    }
}
