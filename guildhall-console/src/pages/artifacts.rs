//! What is governed: filters, search, order and pages, all in the URL.

use std::collections::BTreeSet;

use axum::response::Response;
use guildhall_core::event::artifact_type::WELL_KNOWN;
use guildhall_core::{
    AccordBinding, AccordQuery, ArtifactQuery, ArtifactSort, ArtifactSummary, Counted,
    CustodyState, Drift, MAX_PAGE_ROWS, Page, Tier,
};
use maud::{Markup, html};

use super::lists::{COUNTED, Chip, List, Order, choices, total, words};
use super::{Place, heading, shown, whole};
use crate::error::RequestError;
use crate::format::{self, artifact, cid, since};
use crate::params::Params;
use crate::standing::Standing;
use crate::view::{Seen, View};

const ROWS: u32 = 100;

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let params = &view.params;
    let loaded = async {
        let query = params.artifacts(ROWS)?;
        let standing = Standing::load(&view.app).await?;
        let moment = view.ops_db.snapshot().await?;
        let page = moment.artifacts(&query).await?;
        let counted = moment.count(&Counted::Artifacts(query.clone()), COUNTED).await?;
        let all = AccordQuery::default().limit(MAX_PAGE_ROWS);
        let accords = moment.accords(&all).await?.rows;
        Ok::<_, RequestError>((query, standing, page, counted, accords))
    };
    let (query, standing, page, counted, accords) = loaded.await?;
    let list = List { links: view.links(), path: "/artifacts", params };
    let content = html! {
        (heading(&html! { "Artifacts" }, &total(counted)))
        (filters(&view, &query, &accords))
        (list.chips(&chips(params, &query, &accords)))
        div #artifacts .panel data-live { (table(&view, list, &query, &page)) }
    };
    Ok(shown(whole(&view, Place::Artifacts, "Artifacts", Some(&standing), &content)))
}

fn filters(view: &View, query: &ArtifactQuery, accords: &[AccordBinding]) -> Markup {
    let params = &view.params;
    let tier = |tier: &Tier| {
        let number = tier.get().to_string();
        (number.clone(), format!("tier {number}"), query.tiers.contains(tier))
    };
    let tiers: Vec<_> = Tier::ALL.iter().map(tier).collect();
    let states = words(CustodyState::ALL, &query.custody_states, CustodyState::as_str);
    let drifts = words(Drift::ALL, &query.drifts, Drift::as_str);
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
    html! {
        form.filters method="get" action={ (view.app.base) "/artifacts" } role="search" aria-label="Artifacts" {
            label.search { span.hidden { "Name contains" } input type="search" name="name_contains" placeholder="Name contains…" value=[params.first("name_contains")] maxlength="200"; }
            (choices("Tier", "tier", &tiers))
            (choices("Type", "artifact_type", &types))
            (choices("Custody", "custody_state", &states))
            (choices("Posture", "drift", &drifts))
            @if !bound.is_empty() { (choices("Accord", "accord", &bound)) }
            @for name in ["id", "name", "cid", "name_begins", "cid_begins", "sort", "descending", "verified_before", "verdict", "content_contains", "terms_contain", "limit"] {
                @for value in params.all(name) { input type="hidden" name=(name) value=(value); }
            }
            (view.links().kept())
            button type="submit" { "Apply" }
        }
    }
}

fn chips(params: &Params, query: &ArtifactQuery, accords: &[AccordBinding]) -> Vec<Chip> {
    let accord = |id: &str| {
        let found = accords.iter().find(|accord| accord.id.to_string() == id);
        format!("accord: {}", found.map_or(id, |accord| &accord.name))
    };
    let mut chips =
        Chip::of_each(params, "name_contains", |text| format!("name contains {text:?}"));
    let mut add = |name, label: &dyn Fn(&str) -> String| {
        chips.extend(Chip::of_each(params, name, label));
    };
    add("name", &|name| format!("name: {name}"));
    add("tier", &|tier| format!("tier {tier}"));
    add("artifact_type", &format::words);
    add("custody_state", &format::words);
    add("drift", &str::to_owned);
    add("accord", &accord);
    add("name_begins", &|text| format!("name begins with {text:?}"));
    add("cid_begins", &|text| format!("CID begins with {text}"));
    add("id", &|id| format!("id: {id}"));
    add("cid", &|cid| format!("CID: {cid}"));
    add("verdict", &|verdict| format!("{verdict} verdict stands"));
    add("content_contains", &|json| format!("content contains {json}"));
    add("terms_contain", &|json| format!("terms contain {json}"));
    if let Some(before) = query.verified_before {
        add("verified_before", &|_| format!("not verified since {}", format::exact(before)));
    }
    chips
}

fn table(
    view: &View,
    list: List<'_>,
    query: &ArtifactQuery,
    page: &Page<ArtifactSummary>,
) -> Markup {
    let seen = view.seen();
    let column = |sort: ArtifactSort, name, class| {
        let (current, is_descending) = (query.sort.as_str(), query.is_descending);
        let default = ArtifactSort::Name.as_str();
        let order = Order { word: sort.as_str(), default, current, is_descending };
        list.column(order, name, class)
    };
    let head = html! {
        (column(ArtifactSort::Name, "Name", ""))
        (column(ArtifactSort::ArtifactType, "Type", ""))
        (column(ArtifactSort::Tier, "Tier", "number"))
        (column(ArtifactSort::Cid, "CID", ""))
        (column(ArtifactSort::CustodyState, "Custody", ""))
        (column(ArtifactSort::Drift, "Posture", ""))
        (column(ArtifactSort::Position, "Position", "number"))
    };
    list.table("Artifacts", "No artifact matches.", page, &head, |row| line(seen, row))
}

fn line(Seen { links, now }: Seen<'_>, row: &ArtifactSummary) -> Markup {
    let id = format!("a{}", row.id);
    html! {
        tr id=(id) {
            th scope="row" { (artifact(links, row.id, &row.name)) }
            td { bdi { (format::words(&row.artifact_type)) } }
            td.number data-label="tier" { (row.tier.get()) }
            td data-label="CID" { (cid(&id, "cid", row.cid)) }
            td { (format::custody(row.custody_state)) }
            td { (format::posture(row.custody_state, row.drift)) @if let Some(at) = row.drift_since { " " span.muted { (since(at, now)) } } }
            td.number data-label="position" { (format::position(links, row.position)) }
        }
    }
}
