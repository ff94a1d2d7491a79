//! The pages: one file each, and what they share.

pub(crate) mod accord;
pub(crate) mod accords;
pub(crate) mod artifact;
pub(crate) mod artifacts;
mod bar;
pub(crate) mod ceremonies;
pub(crate) mod ceremony;
pub(crate) mod changes;
mod content;
pub(crate) mod dashboard;
pub(crate) mod deployments;
pub(crate) mod lists;
pub(crate) mod log;
pub(crate) mod posture;
pub(crate) mod quarantine;
pub(crate) mod search;
mod timeline;
mod verdicts;
pub(crate) mod verifications;

use std::collections::{BTreeMap, BTreeSet};

use axum::response::{Html, IntoResponse, Response};
use guildhall_core::{ArtifactId, ArtifactQuery, MAX_PAGE_ROWS, OpsDb, StoreError};
use maud::{DOCTYPE, Markup, html};

use crate::app::Shared;
use crate::error::RequestError;
use crate::format::{Tone, badge, count};
use crate::moment::AS_OF;
use crate::standing::Standing;
use crate::view::View;

/// A page's place among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Dashboard,
    Changes,
    Ceremonies,
    Artifacts,
    Deployments,
    Verifications,
    Posture,
    Accords,
    Quarantine,
    Proof,
    Log,
    Search,
    Elsewhere,
}

/// The places that every page leads to, each with the key that follows `g`.
const PLACES: [(Place, &str, &str, char); 10] = [
    (Place::Dashboard, "/", "Dashboard", 'd'),
    (Place::Changes, "/changes", "Changes", 'h'),
    (Place::Ceremonies, "/ceremonies", "Ceremonies", 'c'),
    (Place::Artifacts, "/artifacts", "Artifacts", 'a'),
    (Place::Deployments, "/deployments", "Deployments", 't'),
    (Place::Verifications, "/verifications", "Verifications", 'v'),
    (Place::Posture, "/posture", "Posture", 's'),
    (Place::Accords, "/accords", "Accords", 'o'),
    (Place::Quarantine, "/quarantine", "Quarantine", 'q'),
    (Place::Proof, "/proof", "Proof", 'p'),
];

/// What keys do, where scripts run.
const KEYS: [(&str, &str); 10] = [
    ("/", "search"),
    ("j, k", "to the next row, to the one before"),
    ("Enter", "open what has the focus"),
    ("n, p", "to the next page of a list, to the one before"),
    ("g then d, h, c, a", "to the dashboard, changes, ceremonies, artifacts"),
    ("g then t, v, s", "to deployments, verifications, posture"),
    ("g then o, q, p", "to accords, quarantine, proof"),
    ("m", "to another moment: as of a position or a time"),
    ("Esc", "close a filter, or this; leave the search"),
    ("?", "these keys"),
];

/// A whole page around its content.
pub(crate) fn whole(
    view: &View,
    place: Place,
    title: &str,
    standing: Option<&Standing>,
    content: &Markup,
) -> Markup {
    let is_failure = place == Place::Elsewhere;
    // Neither assets nor feeds are of a moment.
    let base = &view.app.base;
    let asset = |name: &str| format!("{base}/assets/{name}?v={}", view.app.assets);
    let links = view.links();
    let is_now = view.moment.is_none();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { @if let Some(moment) = bar::title(view) { (moment) } (title) " · Guildhall" }
                link rel="icon" href=(asset("icon.svg"));
                link rel="stylesheet" href=(asset("console.css"));
                link rel="alternate" type="application/atom+xml" title="Changes" href={ (base) "/changes.atom" };
                link rel="alternate" type="application/feed+json" title="Changes" href={ (base) "/changes.json" };
                script src=(asset("console.js")) defer {}
            }
            // No topic: the page only needs to know that something moved. What was does not move.
            body data-events=[is_now.then(|| format!("{base}/events?topic="))] data-failure[is_failure] {
                a.skip href="#content" { "Skip to content" }
                header.bar {
                    a.brand href=(links.to("/")) { "Guildhall" }
                    nav aria-label="Main" {
                        ul {
                            @for (there, path, name, key) in PLACES {
                                li { a href=(links.to(path)) data-key=(key) aria-current=[(there == place).then_some("page")] { (name) } }
                            }
                        }
                    }
                    form.search role="search" method="get" action={ (base) "/search" } {
                        (links.kept())
                        input #search type="search" name="q" placeholder="Search  /" aria-label="Search names, targets, CIDs, ids and positions" maxlength="200" autocomplete="off";
                    }
                    div.state {
                        (pulse(view, standing))
                        span #live .live role="status" hidden {}
                        span #worse .hidden role="status" {}
                        span #copied .hidden role="status" {}
                        (bar::control(view))
                        label.exact { input #exact type="checkbox"; " exact times" }
                    }
                }
                (bar::banner(view, place, standing))
                main #content tabindex="-1" {
                    (printed(view, title, standing))
                    (content)
                }
                dialog #keys aria-labelledby="keys-title" {
                    h2 #keys-title { "Keys" }
                    dl.facts { @for (key, what) in KEYS { dt { kbd { (key) } } dd { (what) } } }
                    form method="dialog" { button { "Close" } }
                }
                footer {
                    p { "Read-only. " a href={ (base) "/api/v1/openapi.json" } { "API" } " · " a href={ (base) "/metrics" } { "metrics" } " · " a href={ (base) "/readyz" } { "readiness" } }
                    button #keys-button .keys type="button" { "Keys: ?" }
                    @if is_now { noscript { p { "Reload to see changes." } } }
                }
            }
        }
    }
}

/// What paper says of itself: what it is of, of which moment, and what it is not.
fn printed(view: &View, title: &str, standing: Option<&Standing>) -> Markup {
    html! {
        div #printed .printed data-live {
            b { (title) " · Guildhall" }
            @let printed = crate::format::exact(view.app.now());
            @if view.moment.is_some() { p { "Printed " (printed) "." } }
            @else if let Some(standing) = standing {
                p { "As the Ops DB stood at position " (standing.position.get()) " of " (standing.head.get()) ", printed " (printed) "." }
                @if !standing.is_sound() { p { "The log was not followed then: what is newer may say otherwise." } }
            }
            p { "A print proves nothing by itself; the hashes of the chain, and a seal of the log, do." }
        }
    }
}

/// Where the projector stands, in the bar of every page.
fn pulse(view: &View, standing: Option<&Standing>) -> Markup {
    if let Some(moment) = view.moment {
        return bar::pulse(moment);
    }
    let Some(standing) = standing else {
        return html! { span #pulse .pulse data-live { (badge(Tone::Bad, "Ops DB silent")) } };
    };
    let tone = match standing.state {
        _ if !standing.is_healthy => Tone::Bad,
        "live" | "standing by" => Tone::Good,
        _ => Tone::Busy,
    };
    html! {
        span #pulse .pulse data-live data-position=(standing.position) {
            span.word { "projector" } (badge(tone, standing.state))
            span.at { "position " (count(standing.position.get())) @if standing.lag > 0 { " of " (count(standing.head.get())) } }
        }
    }
}

pub(crate) fn shown(page: Markup) -> Response {
    Html(page.into_string()).into_response()
}

/// The page of a request that has no answer.
pub(crate) async fn failure(
    app: &Shared,
    query: Option<&str>,
    error: &RequestError,
) -> Html<String> {
    let view = View::of_failure(app, query).await;
    let standing = Standing::load(app).await.ok();
    let title = error.status().canonical_reason().unwrap_or("It did not work");
    let content = html! {
        section.panel.alone {
            h1 { (title) }
            p { (error.to_string()) "." }
            @if matches!(error, RequestError::BadParameter { name: AS_OF, .. }) { p { "It takes " (bar::ACCEPTED) "." } }
            p { a href=(view.links().to("/")) { "To the dashboard" } }
        }
    };
    Html(whole(&view, Place::Elsewhere, title, standing.as_ref(), &content).into_string())
}

/// A heading with what belongs beside it.
pub(crate) fn heading(title: &Markup, aside: &Markup) -> Markup {
    html! { div.heading { h1 { (title) } (aside) } }
}

/// What stands where there are no rows.
pub(crate) fn nothing(message: &str) -> Markup {
    html! { p.nothing { (message) } }
}

/// A table that scrolls sideways by itself, and by keyboard.
pub(crate) fn scrolling(label: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(label) tabindex="0" { (table) } }
}

/// Names of artifacts.
pub(crate) type Names = BTreeMap<ArtifactId, String>;

/// The names of artifacts, at most a page of them, for rows that only have their ids.
pub(crate) async fn names_of(
    ops_db: &dyn OpsDb,
    ids: impl IntoIterator<Item = ArtifactId>,
) -> Result<Names, StoreError> {
    let ids: BTreeSet<_> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let query = ArtifactQuery::default().ids(Vec::from_iter(ids)).limit(MAX_PAGE_ROWS);
    let found = ops_db.artifacts(&query).await?.rows;
    Ok(found.into_iter().map(|row| (row.id, row.name)).collect())
}
