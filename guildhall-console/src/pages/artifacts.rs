//! What is governed: filters, search, order and pages, all in the URL.

use std::collections::BTreeSet;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use guildhall_core::event::artifact_type::WELL_KNOWN;
use guildhall_core::{
    AccordBinding, AccordQuery, ArtifactQuery, ArtifactSort, ArtifactSummary, CustodyState, Drift,
    MAX_PAGE_ROWS, Page, Tier,
};
use maud::{Markup, html};

use super::{Place, Seen, heading, nothing, paging, scrolling, shown, whole};
use crate::app::{App, Shared};
use crate::error::RequestError;
use crate::format::{self, artifact, cid, since};
use crate::params::Params;
use crate::standing::Standing;

const ROWS: u32 = 100;

pub(crate) async fn page(
    State(app): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let params = Params::parse(query.as_deref());
    let loaded = async {
        let query = params.artifacts(ROWS)?;
        let standing = Standing::load(&app).await?;
        let page = app.ops_db.artifacts(&query).await?;
        let all = AccordQuery::default().limit(MAX_PAGE_ROWS);
        let accords = app.ops_db.accords(&all).await?.rows;
        Ok::<_, RequestError>((query, standing, page, accords))
    };
    let (query, standing, page, accords) = loaded.await?;
    let content = html! {
        (heading(&html! { "Artifacts" }, &html! {}))
        (filters(&app, &params, &query, &accords))
        div #artifacts .panel data-live { (list(&app, &params, &query, &page)) }
    };
    Ok(shown(whole(&app, Place::Artifacts, "Artifacts", Some(&standing), &content)))
}

/// One filter: its choices behind a button that says how many are taken.
fn choices(label: &str, name: &str, choices: &[(String, String, bool)]) -> Markup {
    let taken = choices.iter().filter(|(_, _, is_taken)| *is_taken).count();
    html! {
        details.filter {
            summary { (label) @if taken > 0 { span.taken { (taken) } } }
            fieldset {
                legend { (label) }
                @for (value, word, is_taken) in choices {
                    label { input type="checkbox" name=(name) value=(value) checked[*is_taken]; " " bdi { (word) } }
                }
            }
        }
    }
}

fn filters(app: &App, params: &Params, query: &ArtifactQuery, accords: &[AccordBinding]) -> Markup {
    let tiers: Vec<_> = Tier::ALL
        .iter()
        .map(|tier| {
            let number = tier.get().to_string();
            (number.clone(), format!("tier {number}"), query.tiers.contains(tier))
        })
        .collect();
    let states: Vec<_> = CustodyState::ALL
        .iter()
        .map(|state| {
            let word = state.as_str();
            (word.to_owned(), format::words(word), query.custody_states.contains(state))
        })
        .collect();
    let drifts: Vec<_> = Drift::ALL
        .iter()
        .map(|drift| {
            (drift.as_str().to_owned(), drift.as_str().to_owned(), query.drifts.contains(drift))
        })
        .collect();
    let known: BTreeSet<&str> =
        WELL_KNOWN.into_iter().chain(query.artifact_types.iter().map(String::as_str)).collect();
    let types: Vec<_> = known
        .into_iter()
        .map(|word| {
            let is_taken = query.artifact_types.iter().any(|taken| taken == word);
            (word.to_owned(), format::words(word), is_taken)
        })
        .collect();
    let bound: Vec<_> = accords
        .iter()
        .map(|accord| {
            (accord.id.to_string(), accord.name.clone(), query.accords.contains(&accord.id))
        })
        .collect();
    let is_filtered = ArtifactQuery::WORDS[..12].iter().any(|name| params.first(name).is_some());
    html! {
        form.filters method="get" action={ (app.base) "/artifacts" } role="search" aria-label="Artifacts" {
            label.search { span.hidden { "Name contains" } input type="search" name="name_contains" placeholder="Name contains…" value=[params.first("name_contains")] maxlength="200"; }
            (choices("Tier", "tier", &tiers))
            (choices("Type", "artifact_type", &types))
            (choices("Custody", "custody_state", &states))
            (choices("Posture", "drift", &drifts))
            @if !bound.is_empty() { (choices("Accord", "accord", &bound)) }
            @for name in ["id", "name", "cid", "sort", "descending", "verified_before", "verdict", "content_contains", "terms_contain", "limit"] {
                @for value in params.all(name) { input type="hidden" name=(name) value=(value); }
            }
            button type="submit" { "Apply" }
            @if is_filtered { a.clear href={ (app.base) "/artifacts" } { "Clear" } }
            @if let Some(before) = query.verified_before { p.note { "Not verified since " (format::exact(before)) "." } }
            @if !query.verdicts.is_empty() { p.note { "With a verdict that stands: " (query.verdicts.iter().map(|verdict| verdict.as_str()).collect::<Vec<_>>().join(", ")) "." } }
        }
    }
}

/// A column that the rows can be ordered by.
fn column(
    app: &App,
    params: &Params,
    query: &ArtifactQuery,
    sort: ArtifactSort,
    name: &str,
    class: &str,
) -> Markup {
    let is_this = query.sort == sort;
    let turns = is_this && !query.is_descending;
    let descending = if turns { "true" } else { "" };
    let sorted = if sort == ArtifactSort::Name { "" } else { sort.as_str() };
    let link = params.with(&[("sort", sorted), ("descending", descending), ("after", "")]);
    let (state, sign) = match (is_this, query.is_descending) {
        (false, _) => (None, ""),
        (true, false) => (Some("ascending"), "↑"),
        (true, true) => (Some("descending"), "↓"),
    };
    html! {
        th scope="col" class=(class) aria-sort=[state] {
            a id={ "by-" (sort.as_str()) } href={ (app.base) "/artifacts?" (link) } { (name) " " span aria-hidden="true" { (sign) } }
        }
    }
}

fn list(app: &App, params: &Params, query: &ArtifactQuery, page: &Page<ArtifactSummary>) -> Markup {
    let seen = Seen { base: &app.base, now: app.now() };
    let here = format!("{}/artifacts", app.base);
    let next = page.next.as_ref().map(|next| params.with(&[("after", next.as_str())]));
    let head = |sort, name, class| column(app, params, query, sort, name, class);
    html! {
        @if page.rows.is_empty() { (nothing("No artifact matches.")) }
        @else {
            (scrolling("Artifacts", &html! {
                table.artifacts {
                    thead { tr {
                        (head(ArtifactSort::Name, "Name", ""))
                        (head(ArtifactSort::ArtifactType, "Type", ""))
                        (head(ArtifactSort::Tier, "Tier", "number"))
                        th scope="col" { "CID" }
                        (head(ArtifactSort::CustodyState, "Custody", ""))
                        th scope="col" { "Posture" }
                        (head(ArtifactSort::Position, "Position", "number"))
                    } }
                    tbody { @for row in &page.rows { (line(seen, row)) } }
                }
            }))
        }
        (paging(&here, query.after.is_none(), &params.with(&[("after", "")]), next.as_deref()))
    }
}

fn line(Seen { base, now }: Seen<'_>, row: &ArtifactSummary) -> Markup {
    let id = format!("a{}", row.id);
    html! {
        tr id=(id) {
            th scope="row" { (artifact(base, row.id, &row.name)) }
            td { bdi { (format::words(&row.artifact_type)) } }
            td.number data-label="tier" { (row.tier.get()) }
            td data-label="CID" { (cid(&id, "cid", row.cid)) }
            td { (format::custody(row.custody_state)) }
            td { (format::posture(row.custody_state, row.drift)) @if let Some(at) = row.drift_since { " " span.muted { (since(at, now)) } } }
            td.number data-label="position" { (format::count(row.position.get())) }
        }
    }
}
