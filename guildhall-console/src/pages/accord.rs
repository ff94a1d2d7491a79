//! One accord: its terms in words, and the artifacts that it governs.

use axum::response::Response;
use guildhall_core::terms::Allowances;
use guildhall_core::{AccordId, ArtifactQuery, ArtifactSort, Counted, OPS_DB, Tier};
use maud::{Markup, html};
use serde_json::Value;

use super::content::readable;
use super::lists::{COUNTED, up_to};
use super::{Place, heading, nothing, shown, whole};
use crate::api::Named;
use crate::error::RequestError;
use crate::format::{self, ago, artifact, short, text};
use crate::standing::Standing;
use crate::view::{Seen, View};

/// How many of its artifacts are listed.
const LISTED: u32 = 50;

pub(crate) async fn page(view: View, Named(id): Named<AccordId>) -> Result<Response, RequestError> {
    let head = view.app.orchestrator.head().await?;
    let moment = view.ops_db.snapshot().await?;
    let checkpoint = moment.checkpoint(OPS_DB).await?;
    let accord = moment.accord(id).await?.ok_or(RequestError::Missing("accord"))?;
    let governed = ArtifactQuery::default().accords([id]).sort(ArtifactSort::Tier).limit(LISTED);
    let artifacts = moment.artifacts(&governed).await?;
    let counted = moment.count(&Counted::Artifacts(governed), COUNTED).await?;
    drop(moment);
    let standing = Standing::at(&view.app, head, checkpoint).await?;
    let Seen { links, now } = view.seen();
    let terms = accord.accord_terms.to_value();
    let content = html! {
        (heading(&text(&accord.name), &html! {}))
        div.columns.detail {
            div.column {
                section #terms .panel data-live aria-labelledby="terms-title" {
                    h2 #terms-title { "Terms in words" }
                    @for sentence in clocks(&accord.accord_terms) { p { (sentence) } }
                    (in_words(&terms))
                }
                section #terms-json .panel data-live aria-labelledby="terms-json-title" {
                    h2 #terms-json-title { "Terms" }
                    (readable(&accord.accord_terms, "Terms of the accord"))
                }
            }
            div.column {
                section #about .panel data-live aria-labelledby="about-title" {
                    h2 #about-title { "Accord" }
                    dl.facts {
                        dt { "Bound by" } dd { (text(&accord.bound_by)) }
                        dt { "In force" } dd { (ago(accord.effective_at, now)) }
                        dt { "Id" } dd { (short("about", "id", &accord.id.to_string())) }
                        dt { "Position" } dd { (format::position(links, accord.position)) }
                    }
                }
                section #governed .panel data-live aria-labelledby="governed-title" {
                    h2 #governed-title { "Its artifacts " span.total { (up_to(counted)) } }
                    @if artifacts.rows.is_empty() { (nothing("It governs nothing yet.")) }
                    ul.list {
                        @for row in &artifacts.rows {
                            li id={ "a" (row.id) } {
                                (artifact(links, row.id, &row.name)) span.muted { (format::words(&row.artifact_type)) " · tier " (row.tier.get()) }
                                span.end { (format::posture(row.custody_state, row.drift)) }
                            }
                        }
                    }
                    p.more { a href=(links.to(format_args!("/artifacts?accord={id}"))) { "As a list" } }
                }
            }
        }
    };
    Ok(shown(whole(&view, Place::Accords, &accord.name, Some(&standing), &content)))
}

/// What the terms give time for, as the console counts it.
fn clocks(terms: &guildhall_core::Json) -> Vec<String> {
    let by_tier = Tier::ALL.map(|tier| Allowances::of(terms, tier));
    let [first, ..] = by_tier;
    let mut sentences = Vec::new();
    if let Some(micros) = first.verify {
        sentences
            .push(format!("What is deployed is verified again within {}.", format::span(micros)));
    }
    let mend = by_tier.map(|allowed| allowed.mend);
    if mend.iter().all(|it| *it == mend[0]) {
        let told = mend[0].map(|it| format!("A drift is mended within {}.", format::span(it)));
        sentences.extend(told);
    } else {
        let tiers = mend.iter().enumerate();
        let tiers =
            tiers.filter_map(|(tier, it)| Some(format!("{} in tier {tier}", format::span((*it)?))));
        let tiers: Vec<_> = tiers.collect();
        sentences.push(format!("A drift is mended within {}.", tiers.join(", ")));
    }
    if let Some(micros) = first.review {
        sentences.push(format!("A ceremony is decided within {}.", format::span(micros)));
    }
    sentences
}

/// Every term, by its name.
fn in_words(terms: &Value) -> Markup {
    let Value::Object(members) = terms else { return html! {} };
    html! {
        @if members.is_empty() { (nothing("They ask nothing.")) }
        dl.facts {
            @for (name, value) in members {
                dt { (text(&format::words(name))) }
                dd { @match value {
                    Value::Object(members) if !members.is_empty() => (in_words(value)),
                    value => (text(&super::ceremony::words(value))),
                } }
            }
        }
    }
}
