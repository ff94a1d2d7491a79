//! What waits for a decision, and what was decided.

use axum::response::Response;
use guildhall_core::ops::MomentKey;
use guildhall_core::{CeremonyId, ClosedCeremony, Counted, OpenCeremony, Page};
use maud::{Markup, html};

use super::lists::{COUNTED, paging, up_to};
use super::{Place, heading, nothing, scrolling, shown, whole};
use crate::error::RequestError;
use crate::format::{self, ago, artifact, decided, linked, text, took};
use crate::standing::Standing;
use crate::view::{Links, Seen, View};

const OPEN_ROWS: u32 = 50;
const CLOSED_ROWS: u32 = 25;

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let params = &view.params;
    let loaded = async {
        let (open_after, closed_after) = (
            params.cursor::<MomentKey>("open_after")?,
            params.cursor::<MomentKey>("closed_after")?,
        );
        let standing = Standing::load(&view.app).await?;
        let open = view.ops_db.open_ceremonies(open_after, OPEN_ROWS).await?;
        let closed = view.ops_db.closed_ceremonies(closed_after, CLOSED_ROWS).await?;
        let counted = [
            view.ops_db.count(&Counted::OpenCeremonies, COUNTED).await?,
            view.ops_db.count(&Counted::ClosedCeremonies, COUNTED).await?,
        ];
        Ok::<_, RequestError>((standing, open, closed, counted))
    };
    let (standing, open, closed, [open_count, closed_count]) = loaded.await?;
    let seen = view.seen();
    let content = html! {
        (heading(&html! { "Ceremonies" }, &html! {}))
        section #open .panel data-live aria-labelledby="open-title" {
            h2 #open-title { "Open " span.total { (up_to(open_count)) } }
            (open_table(seen, &open))
            (paging(view.links(), "/ceremonies", params, "open_after", &open))
        }
        section #closed .panel data-live aria-labelledby="closed-title" {
            h2 #closed-title { "Closed " span.total { (up_to(closed_count)) } }
            (closed_table(seen, &closed))
            (paging(view.links(), "/ceremonies", params, "closed_after", &closed))
        }
    };
    Ok(shown(whole(&view, Place::Ceremonies, "Ceremonies", Some(&standing), &content)))
}

fn open_table(seen: Seen<'_>, open: &Page<OpenCeremony>) -> Markup {
    if open.rows.is_empty() {
        return nothing("No ceremony is open.");
    }
    scrolling(
        "Open ceremonies",
        &html! {
            table {
                thead { tr {
                    th scope="col" { "Artifact" } th.number scope="col" { "Tier" } th scope="col" { "Accord" }
                    th scope="col" { "Ceremony" } th scope="col" { "Opened by" } th scope="col" { "Reason" }
                    th scope="col" { "Opened" }
                } }
                tbody { @for row in &open.rows { (open_line(seen, row)) } }
            }
        },
    )
}

fn open_line(Seen { links, now }: Seen<'_>, row: &OpenCeremony) -> Markup {
    let id = format!("c{}", row.opened.position);
    let at = row.opened.occurred_at;
    html! {
        tr id=(id) {
            th scope="row" { (artifact(links, row.opened.artifact_id, &row.name)) span.kind { (format::words(&row.artifact_type)) } }
            td.number data-label="tier" { (row.tier.get()) }
            td data-label="accord" { (accord(links, &row.accord)) }
            (ceremony(links, &id, row.ceremony_id))
            td data-label="by" { (text(&row.opened.actor)) }
            td.prose { (text(&row.opened.reason)) }
            td data-label="opened" { (ago(at, now)) span.abs.muted { " · " (format::lasted(at, now)) } }
        }
    }
}

fn closed_table(seen: Seen<'_>, closed: &Page<ClosedCeremony>) -> Markup {
    if closed.rows.is_empty() {
        return nothing("No ceremony has closed yet.");
    }
    scrolling(
        "Closed ceremonies",
        &html! {
            table {
                thead { tr {
                    th scope="col" { "Artifact" } th.number scope="col" { "Tier" } th scope="col" { "Accord" }
                    th scope="col" { "Ceremony" } th scope="col" { "Outcome" } th scope="col" { "Closed by" }
                    th scope="col" { "Reason" } th scope="col" { "Closed" } th scope="col" { "Was open" }
                } }
                tbody { @for row in &closed.rows { (closed_line(seen, row)) } }
            }
        },
    )
}

fn closed_line(Seen { links, now }: Seen<'_>, row: &ClosedCeremony) -> Markup {
    let id = format!("c{}", row.closed.position);
    html! {
        tr id=(id) {
            th scope="row" { (artifact(links, row.closed.artifact_id, &row.name)) span.kind { (format::words(&row.artifact_type)) } }
            td.number data-label="tier" { (row.tier.get()) }
            td data-label="accord" { (accord(links, &row.accord)) }
            (ceremony(links, &id, row.ceremony_id))
            td { (decided(row.closed.to_state)) }
            td data-label="by" { (text(&row.closed.actor)) }
            td.prose { (text(&row.closed.reason)) }
            td data-label="closed" { (ago(row.closed.occurred_at, now)) }
            td data-label="was open" { (took(row.opened_at, row.closed.occurred_at)) }
        }
    }
}

/// An accord by its name, which several may bear.
fn accord(links: Links<'_>, name: &str) -> Markup {
    let query: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    html! { a.name href=(links.to(format_args!("/accords?name={query}"))) { (text(name)) } }
}

fn ceremony(links: Links<'_>, row: &str, id: Option<CeremonyId>) -> Markup {
    html! {
        td data-label="ceremony" {
            @match id { Some(id) => (linked(row, "ceremony", &id.to_string(), &links.to(format_args!("/ceremonies/{id}")))), None => span.muted { "none" } }
        }
    }
}
