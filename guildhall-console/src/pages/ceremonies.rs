//! What waits for a decision, and what was decided.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use guildhall_core::{CeremonyId, ClosedCeremony, Cursor, OpenCeremony, Page};
use maud::{Markup, html};

use super::{Place, Seen, heading, nothing, paging, scrolling, shown, whole};
use crate::console::Shared;
use crate::error::RequestError;
use crate::format::{self, ago, artifact, decided, short, since, text};
use crate::params::Params;
use crate::standing::Standing;

const OPEN_ROWS: u32 = 50;
const CLOSED_ROWS: u32 = 25;

pub(crate) async fn page(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Response, Response> {
    let params = Params::parse(query.as_deref());
    let cursor = |name| params.first(name).map(Cursor::from_text);
    let loaded = async {
        let standing = Standing::load(&app).await?;
        let open = app.ops_db.open_ceremonies(cursor("open_after"), OPEN_ROWS).await?;
        let closed = app.ops_db.closed_ceremonies(cursor("closed_after"), CLOSED_ROWS).await?;
        Ok::<_, RequestError>((standing, open, closed))
    };
    let (standing, open, closed) = loaded.await.map_err(|error| error.into_page(&app))?;
    let seen = Seen { base: &app.base, now: app.now() };
    let here = format!("{}/ceremonies", app.base);
    let pages = |name: &'static str, next: Option<&Cursor>| {
        let next = next.map(|next| params.with(&[(name, next.as_str())]));
        paging(&here, params.first(name).is_none(), &params.with(&[(name, "")]), next.as_deref())
    };
    let content = html! {
        (heading(&html! { "Ceremonies" }, &html! {}))
        section #open .panel data-live aria-labelledby="open-title" {
            h2 #open-title { "Open" }
            (open_table(seen, &open))
            (pages("open_after", open.next.as_ref()))
        }
        section #closed .panel data-live aria-labelledby="closed-title" {
            h2 #closed-title { "Recently closed" }
            (closed_table(seen, &closed))
            (pages("closed_after", closed.next.as_ref()))
        }
    };
    Ok(shown(whole(&app, Place::Ceremonies, "Ceremonies", Some(&standing), &content)))
}

fn ceremony(id: Option<CeremonyId>) -> Markup {
    html! { @if let Some(id) = id { (short(&id.to_string(), 8)) } }
}

fn open_table(Seen { base, now }: Seen<'_>, open: &Page<OpenCeremony>) -> Markup {
    if open.rows.is_empty() {
        return nothing("No ceremony is open.");
    }
    scrolling(
        "Open ceremonies",
        &html! {
            table {
                thead { tr {
                    th scope="col" { "Artifact" } th scope="col" { "Tier" } th.wide scope="col" { "Accord" }
                    th.wide scope="col" { "Ceremony" } th scope="col" { "Opened by" } th.wide scope="col" { "Reason" }
                    th.wide scope="col" { "Opened" } th scope="col" { "Age" }
                } }
                tbody {
                    @for row in &open.rows {
                        tr id={ "c" (row.opened.position) } {
                            th scope="row" { (artifact(base, row.opened.artifact_id, &row.name)) span.kind { (format::words(&row.artifact_type)) } }
                            td.number data-label="tier" { (row.tier.get()) }
                            td.wide { (text(&row.accord)) }
                            td.wide { (ceremony(row.ceremony_id)) }
                            td data-label="by" { (text(&row.opened.actor)) }
                            td.wide.prose { (text(&row.opened.reason)) }
                            td.wide { (ago(row.opened.occurred_at, now)) }
                            td data-label="open for" { (since(row.opened.occurred_at, now)) }
                        }
                    }
                }
            }
        },
    )
}

fn closed_table(Seen { base, now }: Seen<'_>, closed: &Page<ClosedCeremony>) -> Markup {
    if closed.rows.is_empty() {
        return nothing("No ceremony has closed yet.");
    }
    scrolling(
        "Closed ceremonies",
        &html! {
            table {
                thead { tr {
                    th scope="col" { "Artifact" } th scope="col" { "Tier" } th.wide scope="col" { "Accord" }
                    th.wide scope="col" { "Ceremony" } th scope="col" { "Outcome" } th scope="col" { "Closed by" }
                    th.wide scope="col" { "Reason" } th scope="col" { "Closed" } th.wide scope="col" { "Was open" }
                } }
                tbody {
                    @for row in &closed.rows {
                        tr id={ "c" (row.closed.position) } {
                            th scope="row" { (artifact(base, row.closed.artifact_id, &row.name)) span.kind { (format::words(&row.artifact_type)) } }
                            td.number data-label="tier" { (row.tier.get()) }
                            td.wide { (text(&row.accord)) }
                            td.wide { (ceremony(row.ceremony_id)) }
                            td { (decided(row.closed.to_state)) }
                            td data-label="by" { (text(&row.closed.actor)) }
                            td.wide.prose { (text(&row.closed.reason)) }
                            td { (ago(row.closed.occurred_at, now)) }
                            td.wide { (since(row.opened_at, row.closed.occurred_at)) }
                        }
                    }
                }
            }
        },
    )
}
