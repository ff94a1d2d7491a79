//! The page of the proof: seals, who cosigned them, and what the last verification and audit found.

use std::fmt::Display;

use axum::response::Response;
use guildhall_core::ops::PositionKey;
use guildhall_core::{Origin, Timestamp};
use guildhall_projector::proof::{AuditorStatus, Round};
use guildhall_proof::LogKey;
use guildhall_proof::audit::AuditReport;
use guildhall_proof::verify::{Known, Verdict, VerifyReport};
use maud::{Markup, html};

use super::seals::{Listed, SealRow, last, list};
use crate::error::RequestError;
use crate::format::{Tone, ago, badge, count, plural, short, text, took};
use crate::pages::lists::paging;
use crate::pages::{Place, heading, nothing, scrolling, shown, whole};
use crate::standing::Standing;
use crate::view::View;

const ROWS: u32 = 25;

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let (app, params) = (&view.app, &view.params);
    let after = params.cursor::<PositionKey>("after")?;
    let standing = Standing::load(app).await?;
    // Seals are looked at as they are, whatever the moment.
    let (proof, now) = (&app.proof, app.now());
    let content = match &proof.log {
        None => html! {
            div.panel { (nothing("This console was not given the seals of its log, and shows none.")) }
        },
        Some(log) => {
            let origin = log.origin().await?;
            let last = last(proof, &**log).await?;
            let listed = list(proof, after.as_ref(), ROWS).await?;
            let found = proof.auditor.as_ref().map(|found| found.borrow().clone());
            html! {
                div.columns.detail {
                    div.column {
                        (last_seal(origin.as_ref(), last.as_ref(), &standing, now))
                        (trusted(&proof.known))
                    }
                    div.column {
                        (verified(found.as_ref(), now))
                        (audited(found.as_ref(), now))
                    }
                }
                @if last.is_some() {
                    section #seals .panel data-live aria-labelledby="seals-title" {
                        h2 #seals-title { "Seals" }
                        (consistency(&listed))
                        (table(&listed, now))
                        (paging(view.links(), "/proof", params, "after", &listed.page))
                        p.files { a href={ (app.base) "/api/v1/seals" } { "JSON" } span.muted { " each seal whole, to keep it elsewhere" } }
                    }
                }
            }
        }
    };
    let content = html! { (heading(&html! { "Proof" }, &html! {})) (content) };
    Ok(shown(whole(&view, Place::Proof, "Proof", Some(&standing), &content)))
}

fn last_seal(
    origin: Option<&Origin>,
    last: Option<&SealRow>,
    standing: &Standing,
    now: Timestamp,
) -> Markup {
    html! {
        section #last .panel data-live aria-labelledby="last-title" {
            h2 #last-title { "Last seal" }
            @match last {
                None => {
                    p { (badge(Tone::Warn, "never sealed")) " Nothing shows yet that the log is what it was." }
                    p.muted { code { "guildhall key new" } " makes a key, and " code { "guildhall seal --key FILE --every 60" } " seals what is recorded, once a minute." }
                }
                Some(last) => dl.facts {
                    @if let Some(origin) = origin { dt { "Log" } dd { (text(origin.as_str())) } }
                    dt { "Covers" } dd { (count(last.size.get())) " entries" }
                    dt { "Root" } dd { (short("last", "root", &last.root.to_string())) }
                    dt { "Sealed" } dd { (ago(last.sealed_at, now)) }
                    dt { "Signed" } dd { (signatures(last)) }
                    dt { "Witnesses" } dd { (witnesses(last, Tone::Bad, now)) }
                    dt { "Not sealed yet" } dd { (plural(standing.head.get().saturating_sub(last.size.get()), "entry")) }
                },
            }
        }
    }
}

/// By which keys seals are judged, and by which witnesses.
fn trusted(known: &Known) -> Markup {
    let keys = known.keys.as_ref().map_or(&[][..], |keys| keys.keys());
    html! {
        section #trusted .panel aria-labelledby="trusted-title" {
            h2 #trusted-title { "Judged by" }
            @if keys.is_empty() { p.muted { "No public key of the log was given to this console, so it verifies no signature." } }
            dl.facts {
                @for (nth, LogKey { key, from, until }) in keys.iter().enumerate() {
                    dt { "Key" }
                    dd {
                        (text(&format!("{}+{}", key.name(), key.id()))) " " (short("trusted", &format!("key{nth}"), &key.to_string()))
                        @if *from > 0 { " from " (count(*from)) " entries on" }
                        @if let Some(until) = until { " below " (count(*until)) " entries" }
                    }
                }
                @if let Some(policy) = &known.witnesses {
                    dt { "Witnesses" }
                    dd { @for (nth, witness) in policy.witnesses().iter().enumerate() { @if nth > 0 { ", " } (text(witness.key.name().as_str())) } @if policy.witnesses().is_empty() { "none" } }
                }
            }
            @if known.witnesses.is_none() { p.muted { "No policy says which witnesses have to have cosigned." } }
        }
    }
}

/// What was checked of the seals of this page, and when: now.
fn consistency(listed: &Listed) -> Markup {
    html! {
        p.verdict {
            @if let Some(reason) = &listed.unchecked { (badge(Tone::Bad, "not checked")) " Whether the log grew from seal to seal: " (text(reason)) "." }
            @else if listed.page.rows.iter().all(|row| row.is_consistent == Some(true)) { (badge(Tone::Good, "consistent")) " The log of the last seal grew out of each of these, recomputed just now from its hashes." }
            @else { (badge(Tone::Bad, "not consistent")) " The log of the last seal did not grow out of each of these." }
            span.muted { " Whether the entries are what was hashed, a verification says." }
        }
    }
}

fn table(listed: &Listed, now: Timestamp) -> Markup {
    if listed.page.rows.is_empty() {
        return nothing("There is no seal before these.");
    }
    scrolling(
        "Seals, the last first",
        &html! {
            table {
                thead { tr { th.number scope="col" { "Entries" } th scope="col" { "Sealed" } th scope="col" { "Signed" } th scope="col" { "Witnesses" } th scope="col" { "Root" } } }
                tbody { @for row in &listed.page.rows { (line(row, now)) } }
            }
        },
    )
}

fn line(row: &SealRow, now: Timestamp) -> Markup {
    let id = format!("s{}", row.size);
    html! {
        tr id=(id) {
            th.number scope="row" data-label="entries" { (count(row.size.get())) }
            td { (ago(row.sealed_at, now)) }
            td.prose data-label="signed" { (signatures(row)) }
            td.prose data-label="witnesses" { (witnesses(row, Tone::Warn, now)) }
            td data-label="root" { (short(&id, "root", &row.root.to_string())) }
        }
    }
}

/// Who signed a seal, and what is wrong with it.
pub(super) fn signatures(row: &SealRow) -> Markup {
    html! {
        @if !row.faults.is_empty() { @for fault in &row.faults { (badge(Tone::Bad, "wrong")) " " (text(fault)) ". " } }
        @else if row.signers.is_empty() { (badge(Tone::Quiet, "not verified")) }
        @else { (badge(Tone::Good, "verified")) " " (names(&row.signers)) }
    }
}

/// Who cosigned it, and whether that is enough. Before the last seal it need not be: whoever cosigned a
/// later one has seen that the log grew out of this.
pub(super) fn witnesses(row: &SealRow, lacking: Tone, now: Timestamp) -> Markup {
    html! {
        @if row.has_quorum == Some(true) { (badge(Tone::Good, "quorum")) " " }
        @if let Some(reason) = &row.lacks { (badge(lacking, "no quorum")) " " (text(reason)) @if !row.cosignatures.is_empty() { ": " } }
        @else if row.cosignatures.is_empty() { span.muted { "nobody" } }
        @for (nth, it) in row.cosignatures.iter().enumerate() {
            @if nth > 0 { ", " }
            (text(&it.key_name)) @if let Some(at) = it.cosigned_at { " " (ago(at, now)) }
            @if !it.is_verified { span.muted { " (not verified)" } }
        }
    }
}

fn names(names: &[String]) -> Markup {
    html! { @for (nth, name) in names.iter().enumerate() { @if nth > 0 { ", " } (text(name)) } }
}

fn verified(found: Option<&AuditorStatus>, now: Timestamp) -> Markup {
    let last = found.and_then(|found| found.verified.as_ref());
    let told = |report: &VerifyReport| {
        let (tone, word, says) = match report.verdict {
            Verdict::Holds => (Tone::Good, "holds", "The log is what was sealed"),
            Verdict::DoesNotHold => (Tone::Bad, "does not hold", "The log is not what was sealed"),
            Verdict::Unknown => {
                (Tone::Warn, "not known", "Nothing is wrong, and nothing shows what the log was")
            }
        };
        html! {
            p.verdict { (badge(tone, word)) " " (says) ": " (plural(report.entries, "entry")) " read, " @match report.sealed_up_to { Some(size) => { "sealed up to position " (count(size)) }, None => "sealed by no seal" } "." }
            (wrong(report.wrong, &report.findings))
            ul.list { @for unknown in &report.unknown { li { span.muted { "Not known: " } span.grow { (text(&unknown.to_string())) } } } }
        }
    };
    let command = "guildhall verify --key VKEY --seal FILE";
    asked("verified", "Is the log what was sealed?", command, found, last, told, now)
}

fn audited(found: Option<&AuditorStatus>, now: Timestamp) -> Markup {
    let last = found.and_then(|found| found.audited.as_ref());
    let told = |report: &AuditReport| {
        let (tone, word, says) = if report.holds {
            (Tone::Good, "hold", "The tables are what the log says")
        } else {
            (Tone::Bad, "do not hold", "The tables are not what the log says")
        };
        let rows = report.tables.iter().map(|table| table.rows).sum();
        html! {
            p.verdict { (badge(tone, word)) " " (says) ", up to position " (count(report.checkpoint.position.get())) ": " (plural(rows, "row")) " compared." }
            (wrong(report.wrong, &report.findings))
        }
    };
    asked("audited", "Are the tables what the log says?", "guildhall audit", found, last, told, now)
}

/// What came of a question the last time that it was asked here.
fn asked<T>(
    id: &str,
    question: &str,
    command: &str,
    found: Option<&AuditorStatus>,
    last: Option<&Round<T>>,
    told: impl FnOnce(&T) -> Markup,
    now: Timestamp,
) -> Markup {
    html! {
        section id=(id) .panel data-live aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (question) }
            @match last {
                None => {
                    p { @if found.is_some() { (badge(Tone::Busy, "under way")) } @else { (badge(Tone::Quiet, "not asked")) " This console does not ask it." } }
                }
                Some(Round { began_at, ended_at, outcome, .. }) => {
                    @match outcome {
                        Ok(report) => (told(report)),
                        Err(error) => p.verdict { (badge(Tone::Bad, "could not be checked")) " " (text(error)) "." },
                    }
                    p.muted { "Asked " (ago(*began_at, now)) ", took " (took(*began_at, *ended_at)) "." }
                }
            }
            p.muted { "To ask it yourself: " code { (command) } }
        }
    }
}

fn wrong(wrong: u64, findings: &[impl Display]) -> Markup {
    html! {
        ul.list {
            @for finding in findings { li { (badge(Tone::Bad, "wrong")) span.grow { (text(&finding.to_string())) } } }
            @if wrong > findings.len() as u64 { li { "and " (count(wrong - findings.len() as u64)) " more like these" } }
        }
    }
}
