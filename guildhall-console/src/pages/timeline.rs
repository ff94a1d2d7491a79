//! The timeline of an artifact: everything that became of it in one list, the latest first, with what each
//! entry changed, and a way to that moment.

use std::collections::BTreeMap;

use guildhall_core::diff::Diff;
use guildhall_core::{
    ArtifactId, Cid, Cursor, CustodyState, CustodyTransition, DeploymentChange, Happened, Health,
    Json, MAX_PAGE_ROWS, OpsDb, Page, Position, Revision, TimelineEntry, TimelineKind,
};
use maud::{Markup, html};

use super::content::{changed, on_demand, readable};
use super::lists::paging;
use super::nothing;
use crate::app::App;
use crate::contents;
use crate::error::RequestError;
use crate::format::{self, Tone, ago, badge, cid, decided, linked, position, text, verifier};
use crate::params::Params;
use crate::view::{Links, Seen};

/// How many entries a page has unless asked otherwise.
const ROWS: u32 = 25;
/// Among how many of the latest contents those of targets are looked for.
const KNOWN: u32 = 20;

/// A page of a timeline, and the contents that its entries are about, as far as they are known.
pub(super) struct Timeline {
    page: Page<TimelineEntry>,
    revisions: BTreeMap<Revision, Json>,
    contents: BTreeMap<Cid, Json>,
}

impl Timeline {
    /// The page that is asked for. However long the timeline is, it takes three reads of at most so many rows.
    pub(super) async fn load(
        moment: &dyn OpsDb,
        id: ArtifactId,
        params: &Params,
    ) -> Result<Self, RequestError> {
        let page = moment.timeline(&params.timeline(id, ROWS)?).await?;
        let mut timeline = Self { page, revisions: BTreeMap::new(), contents: BTreeMap::new() };
        let numbers = timeline.page.rows.iter().filter_map(|entry| match entry.what {
            Happened::Revision { revision, .. } => Some(revision),
            _ => None,
        });
        // Those of a page follow one another; the first is compared with the one before it.
        if let Some(last) = numbers.clone().max() {
            let count = u32::try_from(numbers.count()).unwrap_or(MAX_PAGE_ROWS);
            let after = last.next().map(|next| Cursor::from_key(&(next,)));
            timeline.keep(moment, id, after, count.saturating_add(1)).await?;
        }
        if timeline.drifts().next().is_some() {
            timeline.keep(moment, id, None, KNOWN).await?;
        }
        Ok(timeline)
    }

    async fn keep(
        &mut self,
        moment: &dyn OpsDb,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<(), RequestError> {
        for row in moment.revisions(id, after, limit).await?.rows {
            self.contents.insert(row.cid, row.content.clone());
            self.revisions.insert(row.revision, row.content);
        }
        Ok(())
    }

    /// Targets that had something else than they should.
    fn drifts(&self) -> impl Iterator<Item = (Position, Cid)> + '_ {
        self.page.rows.iter().filter_map(|entry| match &entry.what {
            Happened::Target { change, .. } if change.health == Health::Drifted => {
                change.observed_cid.map(|observed| (entry.position, observed))
            }
            _ => None,
        })
    }

    /// Adds what observations carry of contents that the artifact did not have: the log keeps them. It is asked
    /// at most once for each entry of the page.
    pub(super) async fn with_observed(mut self, app: &App) -> Result<Self, RequestError> {
        let drifts: Vec<_> = self.drifts().collect();
        for (position, observed) in drifts {
            if !self.contents.contains_key(&observed)
                && let Some(content) = contents::observed_at(app, position).await?
            {
                self.contents.insert(observed, content);
            }
        }
        Ok(self)
    }

    /// The section of the page `here`, of the artifact of this id.
    pub(super) fn section(
        &self,
        seen: Seen<'_>,
        params: &Params,
        id: ArtifactId,
        here: &str,
    ) -> Markup {
        html! {
            section #timeline .panel aria-labelledby="timeline-title" {
                h2 #timeline-title { "Timeline" }
                (kinds(seen.links, params, here))
                div #entries data-live {
                    @if self.page.rows.is_empty() { (nothing("Nothing of this happened to it.")) }
                    @else {
                        ol.timeline {
                            @for entry in &self.page.rows { (self.entry(seen, params, entry)) }
                        }
                    }
                    (paging(seen.links, here, params, "after", &self.page))
                }
                (files(seen, params, id))
            }
        }
    }

    fn entry(&self, seen: Seen<'_>, params: &Params, entry: &TimelineEntry) -> Markup {
        let at = entry.position;
        let row = format!("t{at}-{}", entry.what.kind());
        let then = params.with(&[("as_of", &at.to_string()), ("after", "")]);
        html! {
            li id=(row) {
                div.move {
                    (badge(Tone::Quiet, &format::words(entry.what.kind().as_str())))
                    (self.what(seen, &row, &entry.what))
                    span.end { (ago(entry.at, seen.now)) }
                }
                @if let Happened::Ceremony { transition } | Happened::Transition { transition } = &entry.what {
                    p.reason { b { (text(&transition.actor)) } " " (text(&transition.reason)) }
                }
                div.proof {
                    span.muted { "position" } (position(seen.links, at))
                    a.moment href={ "?" (then) } { "as of then" span.hidden { ", position " (at) } }
                    (self.more(&row, &entry.what))
                }
            }
        }
    }

    /// What happened, in a line.
    fn what(&self, seen: Seen<'_>, row: &str, what: &Happened) -> Markup {
        match what {
            Happened::Revision { revision, cid: content } => html! {
                span { @if *revision == Revision::FIRST { "registered" } @else { "content " (revision) } }
                (cid(row, "cid", *content))
            },
            Happened::Ceremony { transition } => html! {
                @if transition.from_state == Some(CustodyState::CeremonyOpen) { span { "closed" } (decided(transition.to_state)) }
                @else { span { "opened" } }
                (ceremony(seen.links, row, transition))
            },
            Happened::Transition { transition } => html! {
                @if let Some(from) = transition.from_state { span.muted { (format::words(from.as_str())) } span.arrow aria-label="to" role="img" { "→" } }
                (format::custody(Some(transition.to_state)))
            },
            Happened::Target { change, before } => html! {
                @match before {
                    Some(before) if before.health == change.health => span.muted { "still" },
                    Some(before) => { span.muted { (before.health) } span.arrow aria-label="to" role="img" { "→" } }
                    None => span.muted { "first seen" },
                }
                (format::health(change.health)) span { "on " (text(&change.target)) }
            },
            Happened::Verification { verification } => html! {
                (format::outcome(verification.outcome)) span { (verifier(verification)) }
            },
        }
    }

    /// What there is to see of it on demand.
    fn more(&self, row: &str, what: &Happened) -> Markup {
        match what {
            Happened::Revision { revision, .. } => {
                let before = self.revisions.get(&revision.previous());
                match (before, self.revisions.get(revision)) {
                    (_, None) => html! {},
                    (None, Some(content)) => self.first(row, *revision, content),
                    (Some(before), Some(content)) => html! {
                        details.evidence id={ (row) "-changes" } {
                            summary { "what changed" }
                            (changed(&Diff::of(before, content), &format!("What content {revision} changed")))
                        }
                    },
                }
            }
            Happened::Ceremony { .. } | Happened::Transition { .. } => html! {},
            Happened::Target { change, .. } => self.target(row, change),
            Happened::Verification { verification } => {
                on_demand(row, &verification.evidence, "evidence")
            }
        }
    }

    /// A content before which there is none, or none that is known.
    fn first(&self, row: &str, revision: Revision, content: &Json) -> Markup {
        html! {
            details.evidence id={ (row) "-content" } {
                summary { "content" }
                (readable(content, &format!("Content {revision}")))
            }
        }
    }

    fn target(&self, row: &str, change: &DeploymentChange) -> Markup {
        let observed = change.observed_cid;
        let contents = observed.and_then(|observed| {
            self.contents.get(&change.desired_cid).zip(self.contents.get(&observed))
        });
        let differs = contents.map(|(desired, seen)| Diff::of(desired, seen));
        html! {
            span.muted { "desired" } (cid(row, "desired", change.desired_cid))
            @match observed {
                Some(observed) if observed == change.desired_cid => {}
                Some(observed) => { span.muted { "observed" } (cid(row, "observed", observed)) }
                None => span.muted { "nothing observed" },
            }
            @if let Some(diff) = differs.filter(|diff| !diff.is_empty()) {
                details.evidence id={ (row) "-differs" } {
                    summary { "what differs" }
                    (changed(&diff, &format!("What differed on {} from what should run", change.target)))
                }
            }
        }
    }
}

fn ceremony(links: Links<'_>, row: &str, link: &CustodyTransition) -> Markup {
    html! {
        @if let Some(id) = link.ceremony_id {
            (linked(row, "ceremony", &id.to_string(), &links.to(format_args!("/ceremonies/{id}"))))
        }
    }
}

/// The kinds to choose among: each leads to the page with it, or without it where it is chosen.
fn kinds(links: Links<'_>, params: &Params, here: &str) -> Markup {
    let chosen: Vec<&str> = params.all("kind").collect();
    html! {
        ul #kinds .chips aria-label="Kinds of entries" {
            @for kind in TimelineKind::ALL {
                @let word = kind.as_str();
                @let is_chosen = chosen.contains(&word);
                @let query = if is_chosen { params.without("kind", word) } else { params.plus("kind", word) };
                li {
                    a.chip.off[!is_chosen] href=(links.to(format_args!("{here}?{query}"))) aria-current=[is_chosen.then_some("true")] {
                        @if is_chosen { span.hidden { "Remove filter: " } } (word) @if is_chosen { span aria-hidden="true" { " ✕" } }
                    }
                }
            }
            @if !chosen.is_empty() {
                @let query = params.with(&[("kind", ""), ("after", "")]);
                li { a.clear href=(links.to(format_args!("{here}?{query}"))) { "All kinds" } }
            }
        }
        @if !chosen.is_empty() { p.only { "Only of these kinds: " (chosen.join(", ")) "." } }
    }
}

/// Links to the timeline in files, of the kinds that are chosen.
fn files(Seen { links, .. }: Seen<'_>, params: &Params, id: ArtifactId) -> Markup {
    let none = ["after", "limit", "links", "targets_after"].map(|name| (name, ""));
    let query = params.with(&none);
    let api = format!("/api/v1/artifacts/{id}/timeline");
    html! {
        p.files {
            a href=(links.to(format_args!("{api}.csv?{query}"))) { "CSV" } span.muted { " every entry" } " · "
            a href=(links.to(format_args!("{api}?{query}"))) { "JSON" }
        }
    }
}
