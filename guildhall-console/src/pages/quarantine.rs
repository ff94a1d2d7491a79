//! What was refused, and why.

use axum::response::Response;
use guildhall_core::event::TYPE_PREFIX;
use guildhall_core::ops::PositionKey;
use guildhall_core::{Counted, Page, QuarantinedEntry};
use maud::{Markup, html};

use super::lists::{COUNTED, paging, total};
use super::{Place, heading, nothing, scrolling, shown, whole};
use crate::error::RequestError;
use crate::format::{Tone, ago, badge, count, key, short, text};
use crate::standing::Standing;
use crate::view::{Links, View};

const ROWS: u32 = 100;

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let params = &view.params;
    let loaded = async {
        let standing = Standing::load(&view.app).await?;
        let page = view.ops_db.quarantined(params.cursor::<PositionKey>("after")?, ROWS).await?;
        let counted = view.ops_db.count(&Counted::Quarantined, COUNTED).await?;
        Ok::<_, RequestError>((standing, page, counted))
    };
    let (standing, page, counted) = loaded.await?;
    let content = html! {
        (heading(&html! { "Quarantine" }, &total(counted)))
        p.intro { "Entries of the Chronicle that break an invariant. They stay in the log and touch nothing else." }
        div #quarantined .panel data-live {
            (table(view.links(), &page))
            (paging(view.links(), "/quarantine", params, "after", &page))
        }
        @if let Some(standing) = view.at_present(&standing).filter(|it| !it.feeds.is_empty()) {
            section #feeds .panel data-live aria-labelledby="feeds-title" {
                h2 #feeds-title { "What feeds of ceremonies could not settle" }
                p.muted { "Steps that were refused, of which nothing is recorded, and ceremonies that are recorded as open and whose source is gone. Each says which it is." }
                @for feed in &standing.feeds {
                    h3 { (text(&feed.name)) " " (badge(if feed.refused > 0 { Tone::Warn } else { Tone::Good }, &format!("{} reported", feed.refused))) }
                    ul.list {
                        @for refusal in feed.refusals.iter().rev() {
                            li id={ "refused-" (key(&feed.name)) "-" (key(&refusal.identity)) } { span.grow { (text(&refusal.reason)) } span.muted { (text(&refusal.identity)) } span.end { (ago(refusal.at, view.now)) } }
                        }
                    }
                }
            }
        }
    };
    Ok(shown(whole(&view, Place::Quarantine, "Quarantine", Some(&standing), &content)))
}

fn table(links: Links<'_>, page: &Page<QuarantinedEntry>) -> Markup {
    if page.rows.is_empty() {
        return nothing("Nothing was refused.");
    }
    scrolling(
        "Entries in quarantine",
        &html! {
            table {
                thead { tr { th.number scope="col" { "Position" } th scope="col" { "Code" } th scope="col" { "Reason" } th scope="col" { "Type" } th scope="col" { "Stream" } th scope="col" { "Event" } } }
                tbody {
                    @for row in &page.rows { (line(links, row)) }
                }
            }
        },
    )
}

fn line(links: Links<'_>, row: &QuarantinedEntry) -> Markup {
    let id = format!("q{}", row.position);
    html! {
        tr id=(id) {
            th.number scope="row" data-label="position" { a.name href=(links.to(format_args!("/quarantine/{}", row.position))) { (count(row.position.get())) } }
            td { (badge(Tone::Bad, row.code.as_str())) }
            td.prose { (text(&row.reason)) }
            td data-label="type" { bdi { (row.event_type.as_str().trim_start_matches(TYPE_PREFIX)) } }
            td data-label="stream" { (short(&id, "stream", &row.stream_id.to_string())) }
            td data-label="event" { (short(&id, "event", &row.event_id.to_string())) }
        }
    }
}
