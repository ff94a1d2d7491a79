//! What changed: since yesterday, since the last visit, between two moments.

use axum::http::{HeaderMap, header};
use axum::response::Response;
use guildhall_core::{
    AsOf, Change, ChangeQuery, CustodyTransition, OPS_DB, Page, Position, Timestamp, What,
};
use maud::{Markup, html};

use super::lists::{Chip, List};
use super::{Place, heading, names_of, nothing, scrolling, shown, whole};
use crate::error::RequestError;
use crate::format::{self, Tone, ago, artifact, badge, cid, count, decided, key, linked, text};
use crate::standing::Standing;
use crate::view::{Links, Seen, View};
use crate::visit::Visit;

const ROWS: u32 = 100;
const DAY_MICROS: i64 = 86_400 * 1_000_000;

pub(crate) async fn page(view: View, headers: HeaderMap) -> Result<Response, RequestError> {
    let (app, params) = (&view.app, &view.params);
    let loaded = async {
        let origin = app.orchestrator.chronicle().origin().await?;
        let standing = Standing::load(app).await?;
        let mut query = params.changes(app, since_yesterday(&view).await?, ROWS).await?;
        if let Some(moment) = view.moment {
            query.to = query.to.min(moment.position);
        }
        let page = app.ops_db.changes(&query).await?;
        let names = names_of(&*view.ops_db, query.artifact_id).await?;
        let known_from = view.ops_db.checkpoints().await?.into_iter();
        let known_from = known_from.filter(|row| row.projector == OPS_DB);
        let known_from = known_from.filter_map(|row| row.history_from).next();
        Ok::<_, RequestError>((origin, standing, query, page, names, known_from))
    };
    let (origin, standing, query, page, names, known_from) = loaded.await?;
    let told = Visit::told(&headers, origin.as_ref());
    let visit = Visit::of(told, standing.position, view.now);
    let list = List { links: view.links(), path: "/changes", params };
    let chips = Chip::of_each(params, "artifact", |id| {
        format!("artifact: {}", names.values().next().map_or(id, String::as_str))
    });
    let content = html! {
        (heading(&html! { "Changes" }, &html! {}))
        (moments(&view, list, told.filter(|_| view.moment.is_none()).map(|_| visit.from)))
        (list.chips(&chips))
        section #changes .panel data-live aria-labelledby="changes-title" {
            h2 #changes-title { "After position " (place(view.links(), query.from)) ", up to " (place(view.links(), query.to)) }
            @if let Some(known_from) = known_from.filter(|it| *it > query.from) {
                p.muted { "Changes are known from position " (count(known_from.get())) " on; a rebuild brings in what came before." }
            }
            (table(view.seen(), &page))
            (list.paging(&page))
            (files(&view, &query))
        }
    };
    let mut response = shown(whole(&view, Place::Changes, "Changes", Some(&standing), &content));
    // Who looks at what was has not seen what is.
    let cookie = visit.to_tell(origin.as_ref(), &format!("{}/changes", app.base));
    if let Some(cookie) = cookie.filter(|_| view.moment.is_none()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A position, linked; before the first there is nothing to lead to.
fn place(links: Links<'_>, position: Position) -> Markup {
    if position == Position::ZERO {
        html! { "0" }
    } else {
        format::position(links, position)
    }
}

/// Where the log ended a day ago, which is meant where no moment is given.
async fn since_yesterday(view: &View) -> Result<Position, RequestError> {
    if view.params.first("from").is_some() {
        return Ok(Position::ZERO);
    }
    let yesterday = Timestamp::from_micros(view.now.as_micros().saturating_sub(DAY_MICROS));
    let yesterday = yesterday.unwrap_or(Timestamp::MIN);
    Ok(view.app.position_of(AsOf::Time(yesterday)).await?)
}

/// Between which moments, by a link or by name.
fn moments(view: &View, list: List<'_>, last_visit: Option<Position>) -> Markup {
    let List { path, params, .. } = list;
    let from = params.first("from");
    let preset = |name: &str, from_there: &str| {
        let is_this = from.unwrap_or_default() == from_there && params.first("to").is_none();
        let link = list.link(&[("from", from_there), ("to", ""), ("after", "")]);
        html! { a href=(link) aria-current=[is_this.then_some("true")] { (name) } }
    };
    html! {
        nav.presets aria-label="Since when" {
            (preset("Since yesterday", ""))
            @if let Some(last) = last_visit { (preset("Since my last visit", &last.to_string())) }
            (preset("From the beginning", "0"))
        }
        form.between method="get" action={ (view.app.base) (path) } aria-label="Between two moments" {
            label { "After " input type="text" name="from" value=[from] placeholder="position or time" maxlength="40" autocomplete="off"; }
            label { "up to " input type="text" name="to" value=[params.first("to")] placeholder=(if view.moment.is_some() { "then" } else { "now" }) maxlength="40" autocomplete="off"; }
            @for name in ["artifact", "limit"] {
                @for value in params.all(name) { input type="hidden" name=(name) value=(value); }
            }
            (view.links().kept())
            button type="submit" { "Show" }
            span.muted { "A time, such as 2026-11-23T10:05:00Z, is the last entry recorded by then." }
        }
    }
}

fn table(seen: Seen<'_>, page: &Page<Change>) -> Markup {
    if page.rows.is_empty() {
        return nothing("Nothing changed between these moments.");
    }
    scrolling(
        "Changes",
        &html! {
            table {
                thead { tr {
                    th scope="col" { "Artifact" } th scope="col" { "What" } th scope="col" { "By, and why" }
                    th.number scope="col" { "Position" } th scope="col" { "When" }
                } }
                tbody { @for row in &page.rows { (line(seen, row)) } }
            }
        },
    )
}

fn line(Seen { links, now }: Seen<'_>, row: &Change) -> Markup {
    let id = format!("c{}", row.position);
    let (at, link) = match &row.what {
        What::Registered { recorded_at, .. } | What::Revised { recorded_at, .. } => {
            (*recorded_at, None)
        }
        What::CeremonyOpened { transition }
        | What::CeremonyClosed { transition }
        | What::Moved { transition } => (transition.occurred_at, Some(transition)),
        What::Health { change } => (change.observed_at, None),
    };
    html! {
        tr id=(id) {
            th scope="row" { (artifact(links, row.artifact_id, &row.artifact.name)) span.kind { (format::words(&row.artifact.artifact_type)) } }
            td { (what(links, &id, row)) }
            td.prose { @if let Some(link) = link { (text(&link.actor)) @if !link.reason.is_empty() { ": " (text(&link.reason)) } } }
            td.number data-label="position" { (format::position(links, row.position)) }
            td { (ago(at, now)) }
        }
    }
}

fn what(links: Links<'_>, row: &str, change: &Change) -> Markup {
    let ceremony = |link: &CustodyTransition| {
        html! { @if let Some(id) = link.ceremony_id { " " (linked(row, "ceremony", &id.to_string(), &links.to(format_args!("/ceremonies/{id}")))) } }
    };
    match &change.what {
        What::Registered { cid: content, .. } => {
            html! { (badge(Tone::Quiet, "registered")) " " (cid(row, "cid", *content)) }
        }
        What::Revised { revision, cid: content, .. } => {
            html! { (badge(Tone::Quiet, "revised")) " content " (revision) " " (cid(row, "cid", *content)) }
        }
        What::CeremonyOpened { transition } => {
            html! { (badge(Tone::Busy, "ceremony opened")) (ceremony(transition)) }
        }
        What::CeremonyClosed { transition } => {
            html! { "ceremony " (decided(transition.to_state)) (ceremony(transition)) }
        }
        What::Moved { transition } => html! { (format::custody(Some(transition.to_state))) },
        What::Health { change: seen } => {
            let target = links.to(format_args!(
                "/deployments?artifact={}&target={}",
                change.artifact_id,
                key(&seen.target)
            ));
            html! {
                (format::health(seen.health)) " on " a href=(target) { (text(&seen.target)) }
                span.muted { @match seen.previous_health { Some(before) => { " was " (before) }, None => " seen for the first time" } }
            }
        }
    }
}

/// The same for machines.
fn files(view: &View, query: &ChangeQuery) -> Markup {
    let (base, params) = (&view.app.base, &view.params);
    let (from, to) = (query.from.to_string(), query.to.to_string());
    let api = params.with(&[("from", &from), ("to", &to), ("after", ""), ("limit", "500")]);
    let feed = params.with(&[("from", ""), ("to", ""), ("after", ""), ("limit", "")]);
    html! {
        p.files {
            a href={ (base) "/api/v1/changes?" (api) } { "JSON" }
            @if view.moment.is_none() {
                " · " a href={ (base) "/changes.atom?" (feed) } { "Atom" } " · "
                a href={ (base) "/changes.json?" (feed) } { "JSON Feed" } span.muted { " the latest changes; with a token, it is the password" }
            }
        }
    }
}
