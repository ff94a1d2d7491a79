//! One ceremony: who opened it and who decided, what it would change, and what the accord's terms ask beside what
//! happened. It is shown, and nothing here decides whether it was right.

use std::collections::BTreeMap;

use axum::response::Response;
use guildhall_core::diff::Diff;
use guildhall_core::ops::PositionKey;
use guildhall_core::{
    AccordBinding, Ceremony, CeremonyId, Cid, CustodyState, CustodyTransition, Json, MAX_PAGE_ROWS,
    OPS_DB, OpsDb, Page, StoreError,
};
use maud::{Markup, html};
use serde_json::Value;

use super::content::{changed, on_demand, readable};
use super::lists::paging;
use super::{Place, heading, nothing, scrolling, shown, whole};
use crate::api::Named;
use crate::contents;
use crate::error::RequestError;
use crate::format::{self, ago, artifact, cid, decided, exact, short, since, text, took};
use crate::standing::Standing;
use crate::view::{Links, Seen, View};

/// How many artifacts of one ceremony a page shows.
const ROWS: u32 = 10;

/// A ceremony over one artifact, with what it is seen beside.
struct Held {
    row: Ceremony,
    accord: Option<AccordBinding>,
    /// What was ratified last before it was opened, if anything was.
    ratified: Option<CustodyTransition>,
    contents: BTreeMap<Cid, Json>,
}

pub(crate) async fn page(
    view: View,
    Named(id): Named<CeremonyId>,
) -> Result<Response, RequestError> {
    let params = &view.params;
    let after = params.cursor::<PositionKey>("after")?;
    let head = view.app.orchestrator.head().await?;
    let moment = view.ops_db.snapshot().await?;
    let checkpoint = moment.checkpoint(OPS_DB).await?;
    let page = moment.ceremony(id, after, ROWS).await?;
    if page.rows.is_empty() && params.first("after").is_none() {
        return Err(RequestError::Missing("ceremony"));
    }
    let Page { rows, next, previous } = page;
    let mut held = Vec::with_capacity(rows.len());
    for row in rows {
        held.push(load(&*moment, row).await?);
    }
    drop(moment);
    for one in &mut held {
        let ratified = one.ratified.as_ref().map(|link| link.cid);
        let wanted = [Some(one.row.opened.cid), ratified];
        let of = one.row.opened.artifact_id;
        one.contents = contents::of(&view.app, of, wanted.into_iter().flatten()).await?;
    }
    let standing = Standing::at(&view.app, head, checkpoint).await?;
    let seen = view.seen();
    let page = Page::<()> { rows: Vec::new(), next, previous };
    let content = html! {
        (heading(&html! { "Ceremony" }, &html! { (short("ceremony", "id", &id.to_string())) }))
        @for one in &held { (ceremony(seen, one)) }
        (paging(view.links(), &format!("/ceremonies/{id}"), params, "after", &page))
    };
    Ok(shown(whole(&view, Place::Ceremonies, "Ceremony", Some(&standing), &content)))
}

async fn load(moment: &dyn OpsDb, row: Ceremony) -> Result<Held, StoreError> {
    let found = moment.artifact(row.opened.artifact_id).await?;
    let mut ratified = None;
    let mut after = None;
    loop {
        let page = moment.chain(row.opened.artifact_id, after, MAX_PAGE_ROWS).await?;
        let before = page.rows.into_iter().take_while(|link| link.seq < row.opened.seq);
        let mut count = 0;
        for link in before {
            count += 1;
            if link.to_state == CustodyState::Ratified {
                ratified = Some(link);
            }
        }
        after = page.next.filter(|_| count > 0);
        if after.is_none() {
            break;
        }
    }
    Ok(Held { row, accord: found.map(|found| found.accord), ratified, contents: BTreeMap::new() })
}

fn ceremony(seen: Seen<'_>, held: &Held) -> Markup {
    let Seen { links, now } = seen;
    let Ceremony { opened, closed, name, tier, artifact_type, .. } = &held.row;
    let key = format!("c{}", opened.position);
    html! {
        section.ceremony id=(key) data-live aria-labelledby={ (key) "-title" } {
            div.panel {
                h2 id={ (key) "-title" } {
                    (artifact(links, opened.artifact_id, name)) " "
                    @match closed { Some(closed) => (decided(closed.to_state)), None => (format::custody(Some(CustodyState::CeremonyOpen))) }
                }
                dl.facts {
                    dt { "Artifact" } dd { (format::words(artifact_type)) ", tier " (tier.get()) }
                    @if let Some(accord) = &held.accord { dt { "Accord" } dd { a href=(links.to(format_args!("/accords/{}", accord.id))) { (text(&accord.name)) } } }
                    dt { "Opened" }
                    dd { b { (text(&opened.actor)) } ", " (ago(opened.occurred_at, now)) " · " (position(links, opened)) p.prose { (text(&opened.reason)) } (on_demand(&key, &opened.evidence, "opening-evidence")) }
                    @match closed {
                        Some(closed) => {
                            dt { "Closed" }
                            dd { b { (text(&closed.actor)) } ", " (ago(closed.occurred_at, now)) ", open " (took(opened.occurred_at, closed.occurred_at)) " · " (position(links, closed)) p.prose { (text(&closed.reason)) } (on_demand(&key, &closed.evidence, "closing-evidence")) }
                        }
                        None => { dt { "Open" } dd { (since(opened.occurred_at, now)) } }
                    }
                    dt { "Content" } dd { (cid(&key, "cid", opened.cid)) }
                }
            }
            @if let Some(accord) = &held.accord { (asked(&key, accord, &held.row)) }
            (change(&key, seen, held))
        }
    }
}

fn position(links: Links<'_>, link: &CustodyTransition) -> Markup {
    html! { a href=(links.to(format_args!("/log/{}", link.position))) { "position " (format::count(link.position.get())) } }
}

/// What it would change: the content that it is about, beside what was ratified before.
fn change(key: &str, Seen { links, .. }: Seen<'_>, held: &Held) -> Markup {
    let opened = &held.row.opened;
    let content = held.contents.get(&opened.cid);
    html! {
        div.panel {
            h2 { @if held.row.closed.is_some() { "What it was about" } @else { "What it would change" } }
            @match (&held.ratified, content) {
                (_, None) => p.muted { "The content of this CID is not in the log as far as it was read." },
                (None, Some(content)) => {
                    p.muted { "Nothing of this artifact was ratified before: all of it is new." }
                    (readable(content, "Content that is decided about"))
                }
                (Some(ratified), Some(_)) if ratified.cid == opened.cid => p.muted { "The content is what was ratified before, at " (position(links, ratified)) "." },
                (Some(ratified), Some(content)) => {
                    p.muted { "Against what was ratified " (exact(ratified.occurred_at)) ", " (cid(key, "ratified", ratified.cid)) ":" }
                    @match held.contents.get(&ratified.cid) {
                        Some(before) => (changed(&Diff::of(before, content), "What changes")),
                        None => p.muted { "The content that was ratified is not in the log as far as it was read." },
                    }
                }
            }
        }
    }
}

/// A vote, where the evidence of the decision has it.
struct Vote {
    by: String,
    role: String,
    vote: String,
}

fn votes(evidence: &Json) -> Vec<Vote> {
    let evidence = evidence.to_value();
    let votes = evidence.get("votes").and_then(Value::as_array).cloned().unwrap_or_default();
    let word = |vote: &Value, name: &str| {
        vote.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let votes = votes.iter().filter(|vote| vote.is_object());
    votes
        .map(|vote| Vote {
            by: word(vote, "by"),
            role: word(vote, "role"),
            vote: word(vote, "vote"),
        })
        .collect()
}

/// What the terms ask, beside what the links say.
fn asked(key: &str, accord: &AccordBinding, row: &Ceremony) -> Markup {
    let votes = row.closed.as_ref().map(|closed| votes(&closed.evidence)).unwrap_or_default();
    let rows = beside(&accord.accord_terms, row, &votes);
    html! {
        div.panel {
            h2 { "What the terms ask, and what happened" }
            p.muted { "Side by side, as the accord and the log have it. Who decides is the substrate." }
            @if rows.is_empty() { (nothing("The terms ask nothing that is understood here.")) }
            @else {
                (scrolling("What the terms ask, and what happened", &html! {
                    table {
                        thead { tr { th scope="col" { "About" } th scope="col" { "The terms ask" } th scope="col" { "What happened" } } }
                        tbody { @for (nth, (about, asks, happened)) in rows.iter().enumerate() {
                            tr id={ (key) "-asks" (nth) } { th scope="row" { (about) } td data-label="asked" { (text(asks)) } td data-label="happened" { (text(happened)) } }
                        } }
                    }
                }))
            }
            @if !votes.is_empty() {
                (scrolling("Votes", &html! {
                    table {
                        thead { tr { th scope="col" { "Who voted" } th scope="col" { "In which role" } th scope="col" { "Vote" } } }
                        tbody { @for (nth, vote) in votes.iter().enumerate() {
                            tr id={ (key) "-vote" (nth) } { th scope="row" { (text(&vote.by)) } td data-label="as" { (text(&vote.role)) } td data-label="vote" { (text(&vote.vote)) } }
                        } }
                    }
                }))
            }
        }
    }
}

type Row = (&'static str, String, String);

fn beside(terms: &Json, row: &Ceremony, votes: &[Vote]) -> Vec<Row> {
    let terms = terms.to_value();
    let approvals = terms.get("approvals").unwrap_or(&Value::Null);
    let is_open = row.closed.is_none();
    let yet = |told: String| if is_open { "still open".to_owned() } else { told };
    let mut rows = Vec::new();
    if let Some(quorum) = approvals.get("quorum") {
        let approved = votes.iter().filter(|vote| vote.vote == "approve").count();
        let told = match votes.len() {
            0 => "the evidence of the decision names no votes".to_owned(),
            all => format!("{approved} of {all} votes approve"),
        };
        rows.push(("Quorum", format!("{} approvals", words(quorum)), yet(told)));
    }
    if let Some(roles) = approvals.get("roles") {
        let mut held: Vec<_> = votes.iter().map(|vote| vote.role.as_str()).collect();
        held.sort_unstable();
        held.dedup();
        let told = if held.is_empty() { "no role is named".to_owned() } else { held.join(", ") };
        rows.push(("Roles", words(roles), yet(told)));
    }
    if let Some(may) = approvals.get("author_may_approve") {
        let opener = &row.opened.actor;
        let told = if votes.iter().any(|vote| vote.by == *opener) {
            format!("{opener}, who opened it, voted")
        } else if votes.is_empty() {
            "no votes are named".to_owned()
        } else {
            format!("{opener}, who opened it, is not among the votes")
        };
        let asks = if *may == Value::Bool(true) { "may vote" } else { "does not vote" };
        rows.push(("The author", asks.to_owned(), yet(told)));
    }
    if let Some(window) = terms.get("change_window") {
        let told =
            row.closed.as_ref().map(|closed| format!("closed {}", exact(closed.occurred_at)));
        rows.push(("Change window", words(window), yet(told.unwrap_or_default())));
    }
    if let Some(broken) = terms.get("break_glass") {
        let said = [Some(&row.opened), row.closed.as_ref()].into_iter().flatten();
        let said = said.filter_map(|link| link.evidence.to_value().get("break_glass").map(words));
        let said: Vec<_> = said.collect();
        let told = if said.is_empty() {
            "the evidence speaks of none".to_owned()
        } else {
            format!("the evidence says: {}", said.join("; "))
        };
        rows.push(("Break-glass", words(broken), told));
    }
    rows
}

/// A value of the terms in words, on one line.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{} {}", format::words(name), words(value))
            };
            members.iter().map(member).collect::<Vec<_>>().join("; ")
        }
    }
}
