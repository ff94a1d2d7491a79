//! One artifact: all that became of it, its terms, its chain recomputed, where it runs, what it says.

use std::collections::BTreeMap;

use axum::response::Response;
use guildhall_core::custody::chain::BrokenChain;
use guildhall_core::diff::Diff;
use guildhall_core::ops::DeploymentKey;
use guildhall_core::terms::Clock;
use guildhall_core::{
    ArtifactDetail, ArtifactId, Cid, DeploymentQuery, DeploymentState, Json, OPS_DB, Page,
    Timestamp, VerificationQuery, VerificationResult,
};
use maud::{Markup, html};

use super::content::{changed, on_demand, readable};
use super::lists::paging;
use super::timeline::Timeline;
use super::{Place, heading, nothing, scrolling, shown, verdicts, whole};
use crate::api::{Id, Named};
use crate::chain::{self, JudgedLink, Kept, MAX_LINKS, Recomputed};
use crate::contents;
use crate::error::RequestError;
use crate::format::{
    self, Tone, ago, badge, cid, key, linked, plural, position, short, since, text,
};
use crate::params::Params;
use crate::proof;
use crate::standing::Standing;
use crate::view::{Seen, View};

/// How many links of the chain are shown, unless all are asked for.
const LINKS: usize = 50;
const TARGETS: u32 = 50;
/// How many verdicts the chart shows.
const CHARTED: u32 = 200;

pub(crate) async fn page(view: View, Named(id): Id) -> Result<Response, RequestError> {
    let found = load(&view, id).await?;
    let Found { standing, detail, timeline, chain, deployments, verdicts, clocks, desired } =
        &found;
    let seen = view.seen();
    let (links, params) = (view.links(), &view.params);
    let here = format!("/artifacts/{id}");
    let sealed = proof::of_artifact(&view, id).await;
    let content = html! {
        (heading(&text(&detail.artifact.name), &html! {
            span #badges .badges data-live { (format::custody(detail.artifact.custody_state)) (format::posture(detail.artifact.custody_state, detail.drift)) }
        }))
        div.columns.detail {
            div.column {
                (timeline.section(seen, params, id, &here))
            }
            div.column {
                (about(seen, detail))
                (due(seen, clocks))
                (sealed)
                (targets(seen, params, &here, deployments, desired))
                (custody(seen, params, &here, chain, standing))
                (verified(verdicts))
                section #accord .panel data-live aria-labelledby="accord-title" {
                    h2 #accord-title { "Accord: " a href=(links.to(format_args!("/accords/{}", detail.accord.id))) { (text(&detail.accord.name)) } }
                    p.muted { "Bound by " (text(&detail.accord.bound_by)) ", in force since " (ago(detail.accord.effective_at, seen.now)) "." }
                    (readable(&detail.accord.accord_terms, "Terms of the accord"))
                }
                section #content-json .panel data-live aria-labelledby="json-title" {
                    h2 #json-title { "Content" }
                    p.muted { "Schema " code { (text(&detail.artifact.content_schema)) } }
                    (readable(&detail.artifact.content, "Content of the artifact"))
                }
            }
        }
    };
    let name = &detail.artifact.name;
    Ok(shown(whole(&view, Place::Artifacts, name, Some(standing), &content)))
}

struct Found {
    standing: Standing,
    detail: ArtifactDetail,
    timeline: Timeline,
    chain: Recomputed,
    deployments: Page<DeploymentState>,
    verdicts: Vec<VerificationResult>,
    clocks: Vec<Clock>,
    /// What should run where something else was seen that the observation carries.
    desired: BTreeMap<Cid, Json>,
}

async fn load(view: &View, id: ArtifactId) -> Result<Found, RequestError> {
    let params = &view.params;
    if params.one::<String>("links")?.is_some_and(|links| links != "all") {
        let reason = "all, or leave it out".to_owned();
        return Err(RequestError::BadParameter { name: "links", reason });
    }
    let shows_all = params.first("links") == Some("all");
    let kept = Kept::Newest(if shows_all { MAX_LINKS } else { LINKS });
    let head = view.app.orchestrator.head().await?;
    let moment = view.ops_db.snapshot().await?;
    let checkpoint = moment.checkpoint(OPS_DB).await?;
    let detail = moment.artifact(id).await?.ok_or(RequestError::Missing("artifact"))?;
    let deployments = DeploymentQuery::default()
        .artifact_id(id)
        .after(params.cursor::<DeploymentKey>("targets_after")?)
        .limit(TARGETS);
    let verdicts = VerificationQuery::default().artifact_id(id).limit(CHARTED);
    let chain = chain::recompute(&*moment, &view.app.policy, &detail.artifact, kept).await?;
    let deployments = moment.deployments(&deployments).await?;
    let verdicts = moment.verifications(&verdicts).await?.rows;
    let timeline = Timeline::load(&*moment, id, params).await?;
    let clocks = detail.clocks(&*moment, view.now).await?;
    drop(moment);
    let standing = Standing::at(&view.app, head, checkpoint).await?;
    let carried = deployments.rows.iter().filter(|row| contents::observed(row).is_some());
    let elsewhere = carried.map(|row| row.desired_cid).filter(|cid| *cid != detail.artifact.cid);
    let mut desired = contents::of(&view.app, id, elsewhere).await?;
    desired.insert(detail.artifact.cid, detail.artifact.content.clone());
    let timeline = timeline.with_observed(&view.app).await?;
    Ok(Found { standing, detail, timeline, chain, deployments, verdicts, clocks, desired })
}

fn about(Seen { links, now }: Seen<'_>, detail: &ArtifactDetail) -> Markup {
    let artifact = &detail.artifact;
    html! {
        section #about .panel data-live aria-labelledby="about-title" {
            h2 #about-title { "Artifact" }
            dl.facts {
                dt { "Type" } dd { bdi { (format::words(&artifact.artifact_type)) } }
                dt { "Tier" } dd { (artifact.tier.get()) }
                dt { "CID" } dd { (cid("about", "cid", artifact.cid)) }
                dt { "Id" } dd { (short("about", "id", &artifact.id.to_string())) }
                dt { "Registered" } dd { (ago(artifact.registered_at, now)) }
                @if let Some(at) = artifact.revised_at { dt { "Revised" } dd { (ago(at, now)) } }
                dt { "Posture" }
                dd { (format::posture(artifact.custody_state, detail.drift)) @if let Some(at) = detail.drift_since { " " (since(at, now)) } }
                dt { "Position" } dd { (position(links, artifact.position)) }
            }
        }
    }
}

/// What the terms of the accord give time for.
fn due(Seen { now, .. }: Seen<'_>, clocks: &[Clock]) -> Markup {
    html! {
        @if !clocks.is_empty() {
            section #due .panel data-live aria-labelledby="due-title" {
                h2 #due-title { "Due by the terms" }
                ul.list {
                    @for clock in clocks {
                        li id={ "due-" (clock.duty) } {
                            (format::duty(clock.is_overdue))
                            span.grow { (format::duty_words(clock.duty)) }
                            span.end { (ago(clock.due_at, now)) }
                        }
                    }
                }
            }
        }
    }
}

fn custody(
    seen: Seen<'_>,
    params: &Params,
    here: &str,
    found: &Recomputed,
    standing: &Standing,
) -> Markup {
    let Recomputed { links, judged, .. } = found;
    html! {
        section #chain .panel data-live aria-labelledby="chain-title" {
            h2 #chain-title { "Chain of custody" }
            @if let Some(broken) = &found.discrepancy {
                p.verdict { (badge(Tone::Bad, "chain broken")) " Not whole: " (text(&format::words(&broken.to_string()))) "." }
            } @else if links.is_empty() { (nothing("It was not drafted yet.")) }
            @if !links.is_empty() {
                p.verdict {
                    @match &found.outcome {
                        Ok(()) if found.discrepancy.is_some() => { "The links that are there hold." }
                        Ok(()) if !standing.is_sound() => { (badge(Tone::Warn, "not sure")) " The links hold among themselves, but the log is not followed at present: it may say otherwise." }
                        Ok(()) => { (badge(Tone::Good, "chain holds")) " " (plural(*judged, "link")) ", recomputed just now." }
                        Err(BrokenChain::Link { seq, violation }) => { (badge(Tone::Bad, "chain broken")) " Link " (seq.get()) " fails " (violation.code().as_str()) "." }
                        Err(broken) => { (badge(Tone::Bad, "chain broken")) " " (text(&broken.to_string())) "." }
                    }
                    @if found.is_cut { " Later links were not recomputed." }
                }
                details.links #chain-links {
                    summary { "What each link says, and its proof" }
                    ol.chain reversed {
                        @for judged in links.iter().rev() { (link(seen, judged)) }
                    }
                    @if *judged > links.len() as u64 {
                        p.more { a href=(seen.links.to(format_args!("{here}?{}", params.with(&[("links", "all")])))) { "All " (judged) " links" } }
                    }
                }
            }
        }
    }
}

fn link(Seen { links, now }: Seen<'_>, JudgedLink { link, violation }: &JudgedLink) -> Markup {
    let id = format!("link{}", link.seq);
    html! {
        li id=(id) value=(link.seq.get()) class=[violation.is_some().then_some("broken")] {
            div.move {
                @if let Some(from) = link.from_state { span.muted { (format::words(from.as_str())) } span.arrow aria-label="to" role="img" { "→" } }
                (format::custody(Some(link.to_state)))
                span.end { (ago(link.occurred_at, now)) }
            }
            p.reason { b { (text(&link.actor)) } " " (text(&link.reason)) }
            div.proof {
                @match violation {
                    None => (badge(Tone::Good, "holds")),
                    Some(violation) => { (badge(Tone::Bad, violation.code().as_str())) span { (text(&violation.to_string())) } }
                }
                span.muted { "hash" } (short(&id, "hash", &link.hash.to_string()))
                span.muted { "CID" } (cid(&id, "cid", link.cid))
                @if let Some(ceremony) = link.ceremony_id { span.muted { "ceremony" } (linked(&id, "ceremony", &ceremony.to_string(), &links.to(format_args!("/ceremonies/{ceremony}")))) }
                span.muted { "position" } (position(links, link.position))
                (on_demand(&id, &link.evidence, "evidence"))
            }
        }
    }
}

fn targets(
    Seen { links, now }: Seen<'_>,
    params: &Params,
    here: &str,
    page: &Page<DeploymentState>,
    desired: &BTreeMap<Cid, Json>,
) -> Markup {
    html! {
        section #targets .panel data-live aria-labelledby="targets-title" {
            h2 #targets-title { "Deployments" }
            @if page.rows.is_empty() { (nothing("It runs nowhere yet.")) }
            @else {
                (scrolling("Deployments by target", &html! {
                    table {
                        thead { tr { th scope="col" { "Target" } th scope="col" { "Health" } th scope="col" { "Desired" } th scope="col" { "Observed" } th scope="col" { "Seen" } } }
                        tbody { @for row in &page.rows { (target(now, row, desired)) } }
                    }
                }))
            }
            (paging(links, here, params, "targets_after", page))
        }
    }
}

fn target(now: Timestamp, row: &DeploymentState, desired: &BTreeMap<Cid, Json>) -> Markup {
    let id = format!("target-{}", key(&row.target));
    let seen = contents::observed(row);
    let differs = desired.get(&row.desired_cid).zip(seen.as_ref());
    let differs =
        differs.map(|(desired, seen)| Diff::of(desired, seen)).filter(|it| !it.is_empty());
    html! {
        tr id=(id) {
            th scope="row" { (text(&row.target)) (on_demand(&id, &row.detail, "detail"))
                @if let Some(diff) = &differs { details.evidence id={ (id) "-differs" } { summary { "what differs" } (changed(diff, "What differs from what should run")) } } }
            td { (format::health(row.health)) " " span.muted { (since(row.health_since, now)) } }
            td data-label="desired" { (cid(&id, "desired", row.desired_cid)) }
            td data-label="observed" { @match row.observed_cid { Some(observed) => (cid(&id, "observed", observed)), None => span.muted { "nothing" } } }
            td data-label="seen" { (ago(row.observed_at, now)) }
        }
    }
}

fn verified(rows: &[VerificationResult]) -> Markup {
    html! {
        section #verified .panel data-live aria-labelledby="verified-title" {
            h2 #verified-title { "Verifications" }
            @if rows.is_empty() { (nothing("It was never verified.")) }
            (verdicts::chart(rows))
        }
    }
}
