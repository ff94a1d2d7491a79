//! What changed: since yesterday, since the last visit, between two moments.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use guildhall_core::{
    AsOf, Change, ChangeQuery, CustodyTransition, OPS_DB, Page, Position, Timestamp, What,
};
use maud::{Markup, html};

use super::lists::{Chip, List};
use super::{Place, Seen, heading, names_of, nothing, scrolling, shown, whole};
use crate::app::{App, Shared};
use crate::error::RequestError;
use crate::format::{self, Tone, ago, artifact, badge, cid, count, decided, key, linked, text};
use crate::params::Params;
use crate::standing::Standing;
use crate::visit::Visit;

const ROWS: u32 = 100;
const DAY_MICROS: i64 = 86_400 * 1_000_000;

pub(crate) async fn page(
    State(app): State<Shared>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let params = Params::parse(query.as_deref());
    let now = app.now();
    let loaded = async {
        let origin = app.orchestrator.chronicle().origin().await?;
        let standing = Standing::load(&app).await?;
        let query = params.changes(&app, since_yesterday(&app, &params, now).await?, ROWS).await?;
        let page = app.ops_db.changes(&query).await?;
        let names = names_of(&*app.ops_db, query.artifact_id).await?;
        let known_from = app.ops_db.checkpoints().await?.into_iter();
        let known_from = known_from.filter(|row| row.projector == OPS_DB);
        let known_from = known_from.filter_map(|row| row.history_from).next();
        Ok::<_, RequestError>((origin, standing, query, page, names, known_from))
    };
    let (origin, standing, query, page, names, known_from) = loaded.await?;
    let told = Visit::told(&headers, origin.as_ref());
    let visit = Visit::of(told, standing.position, now);
    let list = List { base: &app.base, path: "/changes", params: &params };
    let chips = Chip::of_each(&params, "artifact", |id| {
        format!("artifact: {}", names.values().next().map_or(id, String::as_str))
    });
    let content = html! {
        (heading(&html! { "Changes" }, &html! {}))
        (moments(list, told.map(|_| visit.from)))
        (list.chips(&chips))
        section #changes .panel data-live aria-labelledby="changes-title" {
            h2 #changes-title { "After position " (place(&app.base, query.from)) ", up to " (place(&app.base, query.to)) }
            @if let Some(known_from) = known_from.filter(|it| *it > query.from) {
                p.muted { "Changes are known from position " (count(known_from.get())) " on; a rebuild brings in what came before." }
            }
            (table(Seen { base: &app.base, now }, &page))
            (list.paging(&page))
            (files(&app, &params, &query))
        }
    };
    let mut response = shown(whole(&app, Place::Changes, "Changes", Some(&standing), &content));
    if let Some(cookie) = visit.to_tell(origin.as_ref(), &format!("{}/changes", app.base)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A position, linked; before the first there is nothing to lead to.
fn place(base: &str, position: Position) -> Markup {
    if position == Position::ZERO {
        html! { "0" }
    } else {
        format::position(base, position)
    }
}

/// Where the log ended a day ago, which is meant where no moment is given.
async fn since_yesterday(
    app: &App,
    params: &Params,
    now: Timestamp,
) -> Result<Position, RequestError> {
    if params.first("from").is_some() {
        return Ok(Position::ZERO);
    }
    let yesterday = Timestamp::from_micros(now.as_micros() - DAY_MICROS).unwrap_or(Timestamp::MIN);
    Ok(app.position_of(AsOf::Time(yesterday)).await?)
}

/// Between which moments, by a link or by name.
fn moments(list: List<'_>, last_visit: Option<Position>) -> Markup {
    let List { base, path, params } = list;
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
        form.between method="get" action={ (base) (path) } aria-label="Between two moments" {
            label { "After " input type="text" name="from" value=[from] placeholder="position or time" maxlength="40" autocomplete="off"; }
            label { "up to " input type="text" name="to" value=[params.first("to")] placeholder="now" maxlength="40" autocomplete="off"; }
            @for name in ["artifact", "limit"] {
                @for value in params.all(name) { input type="hidden" name=(name) value=(value); }
            }
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

fn line(Seen { base, now }: Seen<'_>, row: &Change) -> Markup {
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
            th scope="row" { (artifact(base, row.artifact_id, &row.artifact.name)) span.kind { (format::words(&row.artifact.artifact_type)) } }
            td { (what(base, &id, row)) }
            td.prose { @if let Some(link) = link { (text(&link.actor)) @if !link.reason.is_empty() { ": " (text(&link.reason)) } } }
            td.number data-label="position" { (format::position(base, row.position)) }
            td { (ago(at, now)) }
        }
    }
}

fn what(base: &str, row: &str, change: &Change) -> Markup {
    let ceremony = |link: &CustodyTransition| {
        html! { @if let Some(id) = link.ceremony_id { " " (linked(row, "ceremony", &id.to_string(), &format!("{base}/ceremonies/{id}"))) } }
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
            let target = format!(
                "{base}/deployments?artifact={}&target={}",
                change.artifact_id,
                key(&seen.target)
            );
            html! {
                (format::health(seen.health)) " on " a href=(target) { (text(&seen.target)) }
                span.muted { @match seen.previous_health { Some(before) => { " was " (before) }, None => " seen for the first time" } }
            }
        }
    }
}

/// The same for machines.
fn files(app: &App, params: &Params, query: &ChangeQuery) -> Markup {
    let base = &app.base;
    let (from, to) = (query.from.to_string(), query.to.to_string());
    let api = params.with(&[("from", &from), ("to", &to), ("after", ""), ("limit", "500")]);
    let feed = params.with(&[("from", ""), ("to", ""), ("after", ""), ("limit", "")]);
    html! {
        p.files {
            a href={ (base) "/api/v1/changes?" (api) } { "JSON" } " · "
            a href={ (base) "/changes.atom?" (feed) } { "Atom" } " · "
            a href={ (base) "/changes.json?" (feed) } { "JSON Feed" } span.muted { " the latest changes; with a token, it is the password" }
        }
    }
}
