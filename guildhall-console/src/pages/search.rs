//! What was found for a text, by kind.

use axum::response::Response;
use guildhall_core::OPS_DB;
use maud::{Markup, html};

use super::names_of;
use super::{Place, heading, nothing, shown, whole};
use crate::error::RequestError;
use crate::format::{self, artifact, decided, text};
use crate::search::{find, spellings, text_of};
use crate::standing::Standing;
use crate::view::View;

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let wanted = text_of(&view.params)?;
    let head = view.app.orchestrator.head().await?;
    let moment = view.ops_db.snapshot().await?;
    let checkpoint = moment.checkpoint(OPS_DB).await?;
    let until = view.moment.map_or(head, |moment| moment.position);
    let found = find(&*moment, &wanted, until).await?;
    let names = names_of(&*moment, found.deployments.iter().map(|row| row.artifact_id)).await?;
    drop(moment);
    let standing = Standing::at(&view.app, head, checkpoint).await?;
    let links = view.links();
    let begins: Vec<_> = spellings(&wanted).into_iter().map(|it| ("name_begins", it)).collect();
    let begins = form_urlencoded::Serializer::new(String::new()).extend_pairs(begins).finish();
    let target: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    let content = html! {
        (heading(&html! { "Search" }, &html! { @if !wanted.is_empty() { span.muted { "for " (text(&wanted)) } } }))
        div #found data-live {
            @if wanted.is_empty() { section.panel { (nothing("Type how a name, a target or a CID begins, an id, or a position of the log.")) } }
            @else if found.is_empty() { section.panel { (nothing("Nothing begins so, and nothing has this id. Parts of names are looked for in the list of artifacts.")) p.more { a href=(links.to(format_args!("/artifacts?name_contains={target}"))) { "Artifacts whose name contains it" } } } }
            @if let Some(position) = found.position {
                (group("position", "Position of the log", None, &html! { li id="found-position" { a.name href=(links.to(format_args!("/log/{position}"))) { "position " (format::count(position.get())) } } }))
            }
            @if !found.artifacts.is_empty() {
                (group("artifacts", "Artifacts", Some(&links.to(format_args!("/artifacts?{begins}"))), &html! {
                    @for (nth, row) in found.artifacts.iter().enumerate() {
                        li id={ "found-a" (nth) "-" (row.id) } { (artifact(links, row.id, &row.name)) span.muted { (format::words(&row.artifact_type)) " · tier " (row.tier.get()) } span.end { (format::custody(row.custody_state)) " " (format::posture(row.custody_state, row.drift)) } }
                    }
                }))
            }
            @if !found.ceremonies.is_empty() {
                (group("ceremonies", "Ceremonies", None, &html! {
                    @for row in &found.ceremonies {
                        li id={ "found-c" (row.opened.position) } { @if let Some(id) = row.ceremony_id { a.name href=(links.to(format_args!("/ceremonies/{id}"))) { "over " (text(&row.name)) } } span.muted { "opened by " (text(&row.opened.actor)) } @if let Some(closed) = &row.closed { span.end { (decided(closed.to_state)) } } }
                    }
                }))
            }
            @if !found.accords.is_empty() {
                (group("accords", "Accords", Some(&links.to(format_args!("/accords?{begins}"))), &html! {
                    @for (nth, row) in found.accords.iter().enumerate() { li id={ "found-b" (nth) "-" (row.id) } { a.name href=(links.to(format_args!("/accords/{}", row.id))) { (text(&row.name)) } span.muted { "bound by " (text(&row.bound_by)) } } }
                }))
            }
            @if !found.deployments.is_empty() {
                (group("targets", "Targets", Some(&links.to(format_args!("/deployments?target_begins={target}"))), &html! {
                    @for row in &found.deployments {
                        @let id: String = format!("found-t{}-{}", row.artifact_id, format::key(&row.target));
                        li id=(id) { a.name href=(links.to(format_args!("/deployments?target={}", format::key(&row.target)))) { (text(&row.target)) } (artifact(links, row.artifact_id, names.get(&row.artifact_id).map_or("", String::as_str))) span.end { (format::health(row.health)) } }
                    }
                }))
            }
        }
    };
    Ok(shown(whole(&view, Place::Search, "Search", Some(&standing), &content)))
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
