//! How everything stands, and what needs attention.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::response::Response;
use guildhall_core::{
    ArtifactQuery, ArtifactSort, ArtifactSummary, CustodyState, DeploymentQuery, DeploymentState,
    Drift, Health, MAX_PAGE_ROWS, OPS_DB, OpenCeremony, OpsDb, Outcome, Overdue, Overview, Page,
    QuarantinedEntry, StoreError, VerificationQuery, VerificationResult,
};
use maud::{Markup, html};

use super::{Place, heading, names_of, nothing, shown, whole};
use crate::error::RequestError;
use crate::format::{self, Tone, ago, artifact, badge, count, plural, since, text, verifier};
use crate::standing::{FeedStanding, Standing};
use crate::view::{Seen, View};

/// How many of a kind are listed; a link leads to the rest.
const LISTED: usize = 5;
const LISTED_ROWS: u32 = 5;

/// How many targets of an artifact, or verdicts on it, are named.
const NAMED: u32 = 3;

/// Among how many failed verdicts the newest are looked for.
const LATEST: u32 = 20;

/// Among which of a group the newest are looked for, where that is not all.
const AMONG: &str = "of the first 500 by tier and name";

/// The states of what needs attention, as the list of artifacts filters by them.
const STATES: &str = "custody_state=drafted&custody_state=ceremony_open&custody_state=ratified&custody_state=rejected&custody_state=deployed&custody_state=suspended";

/// What needs attention, the worst first, each with the first few.
struct Attention {
    drifted: Group<Page<DeploymentState>>,
    unknown: Group<Page<DeploymentState>>,
    failed: Group<Page<VerificationResult>>,
    stale: Group<()>,
    overdue: Overdue,
    quarantined: Page<QuarantinedEntry>,
}

/// Artifacts that need attention for one reason, with what shows it: the most critical first, of a
/// tier the newest first.
struct Group<D> {
    rows: Vec<(ArtifactSummary, D)>,
    count: u64,
    /// Whether there are more than were counted.
    is_cut: bool,
    /// Whether what is newest was looked for among some of them alone.
    is_order_cut: bool,
}

impl<D> Group<D> {
    /// The rest of them, and what the order leaves out.
    fn rest(&self, all: &str, among: &str) -> Markup {
        html! {
            @if self.has_more() {
                p.more {
                    a href=(all) { "All of them: " (self.total()) }
                    @if self.is_order_cut { " · these are the newest " (among) }
                }
            }
        }
    }

    fn has_more(&self) -> bool {
        self.count > self.rows.len() as u64
    }

    /// How many there are, as a text.
    fn total(&self) -> String {
        let more = if self.is_cut { "+" } else { "" };
        format!("{}{more}", count(self.count))
    }
}

/// What is over needs nobody's attention, nor does what nobody has taken into custody.
fn attended(query: ArtifactQuery) -> ArtifactQuery {
    let query = if query.custody_states.is_empty() {
        let states = CustodyState::ALL.iter().copied();
        query.custody_states(
            states.filter(|state| *state != CustodyState::Retired).collect::<Vec<_>>(),
        )
    } else {
        query
    };
    query.sort(ArtifactSort::Tier).limit(MAX_PAGE_ROWS)
}

/// The first few of those that a query finds, after `newest` of a tier first.
async fn first_few<T: Ord>(
    moment: &dyn OpsDb,
    query: &ArtifactQuery,
    newest: impl Fn(&ArtifactSummary) -> T,
) -> Result<(Vec<ArtifactSummary>, u64, bool), StoreError> {
    let mut found = moment.artifacts(query).await?;
    let count = found.rows.len() as u64;
    // Whatever fills a tier, what has just come is seen, as far as one page goes.
    found.rows.sort_by_key(|row| (row.tier, Reverse(newest(row))));
    found.rows.truncate(LISTED);
    Ok((found.rows, count, found.next.is_some()))
}

impl Attention {
    async fn load(view: &View, moment: &dyn OpsDb) -> Result<Self, StoreError> {
        Ok(Self {
            drifted: postured(moment, Drift::Drifted, Health::Drifted).await?,
            unknown: postured(moment, Drift::Unknown, Health::Unknown).await?,
            failed: failed(moment).await?,
            stale: stale(view, moment).await?,
            overdue: Overdue::load(moment, view.now, LISTED_ROWS).await?,
            quarantined: moment.quarantined(None, 3).await?,
        })
    }

    /// How many things there are to look at.
    fn count(&self, overview: &Overview, at_present: Option<&Standing>) -> u64 {
        let silent = u64::from(at_present.is_some_and(|standing| !standing.is_sound()));
        let feeds = at_present.into_iter().flat_map(|standing| &standing.feeds);
        let feeds = feeds.map(|feed| feed.refused + u64::from(feed.deaf_for().is_some()));
        // What is drifted, or open, is counted already where its time has run out too.
        let artifacts = self.overdue.verify
            + self.overdue.review
            + self.drifted.count
            + self.unknown.count
            + self.failed.count
            + self.stale.count;
        silent + feeds.sum::<u64>() + artifacts + overview.quarantined
    }

    /// Whether there are more than are counted.
    fn is_cut(&self) -> bool {
        self.drifted.is_cut || self.unknown.is_cut || self.failed.is_cut || self.stale.is_cut
    }
}

async fn postured(
    moment: &dyn OpsDb,
    drift: Drift,
    health: Health,
) -> Result<Group<Page<DeploymentState>>, StoreError> {
    let query = attended(ArtifactQuery::default().drifts([drift]));
    let (found, count, is_cut) = first_few(moment, &query, |row| row.drift_since).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let query = DeploymentQuery::default().artifact_id(row.id).healths([health]).limit(NAMED);
        rows.push((row, moment.deployments(&query).await?));
    }
    Ok(Group { rows, count, is_cut, is_order_cut: is_cut })
}

/// Artifacts on which a failed verdict stands. A verdict comes with its evidence, so that few are asked
/// for: the latest, for the order, and some of each artifact that is listed.
async fn failed(moment: &dyn OpsDb) -> Result<Group<Page<VerificationResult>>, StoreError> {
    let standing =
        VerificationQuery::default().outcomes([Outcome::Failed]).is_standing(true).limit(LATEST);
    let mut latest = BTreeMap::new();
    let page = moment.verifications(&standing).await?;
    for verdict in page.rows {
        latest.entry(verdict.artifact_id).or_insert(verdict.verified_at);
    }
    let query = attended(ArtifactQuery::default().verdicts([Outcome::Failed]));
    let newest = |row: &ArtifactSummary| latest.get(&row.id).copied();
    let (found, count, is_cut) = first_few(moment, &query, newest).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let of_it = standing.clone().artifact_id(row.id).limit(NAMED);
        rows.push((row, moment.verifications(&of_it).await?));
    }
    Ok(Group { rows, count, is_cut, is_order_cut: is_cut || page.next.is_some() })
}

/// Artifacts that run, and that nobody has verified for long; those that were written last first.
async fn stale(view: &View, moment: &dyn OpsDb) -> Result<Group<()>, StoreError> {
    let query = attended(
        ArtifactQuery::default()
            .custody_states([CustodyState::Deployed])
            .verified_before(view.stale_before()),
    );
    let (found, count, is_cut) = first_few(moment, &query, |row| row.position).await?;
    let rows = found.into_iter().map(|row| (row, ())).collect();
    Ok(Group { rows, count, is_cut, is_order_cut: is_cut })
}

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let loaded = async {
        let head = view.app.orchestrator.head().await?;
        let moment = view.ops_db.snapshot().await?;
        let checkpoint = moment.checkpoint(OPS_DB).await?;
        let overview = moment.overview().await?;
        let open = moment.open_ceremonies(None, LISTED_ROWS).await?;
        let latest = VerificationQuery::default().limit(LISTED_ROWS);
        let latest = moment.verifications(&latest).await?.rows;
        let names = names_of(&*moment, latest.iter().map(|row| row.artifact_id)).await?;
        let named = latest.into_iter().map(|row| {
            let name = names.get(&row.artifact_id).cloned();
            (name.unwrap_or_else(|| row.artifact_id.to_string()), row)
        });
        let named: Vec<_> = named.collect();
        let attention = Attention::load(&view, &*moment).await?;
        drop(moment);
        let standing = Standing::at(&view.app, head, checkpoint).await?;
        Ok::<_, StoreError>((standing, overview, open, named, attention))
    };
    let (standing, overview, open, latest, attention) = loaded.await?;
    let (seen, at_present) = (view.seen(), view.at_present(&standing));
    let content = html! {
        (heading(&html! { "Dashboard" }, &html! {}))
        (tiles(&view, &overview, &standing))
        div.columns {
            (needs(&view, &overview, at_present, &attention))
            div.column {
                (waiting(seen, &open))
                (verdicts(seen, &latest))
                @if let Some(standing) = at_present { (projector(seen, standing)) }
            }
        }
    };
    let title = match attention.count(&overview, at_present) {
        0 => "Dashboard".to_owned(),
        count if attention.is_cut() => format!("({count}+) Dashboard"),
        count => format!("({count}) Dashboard"),
    };
    Ok(shown(whole(&view, Place::Dashboard, &title, Some(&standing), &content)))
}

fn tiles(view: &View, overview: &Overview, standing: &Standing) -> Markup {
    let Seen { links, now } = view.seen();
    let targets =
        overview.healthy_deployments + overview.drifted_deployments + overview.unknown_deployments;
    html! {
        ul #tiles .tiles data-live {
            li {
                a href=(links.to("/artifacts")) {
                    span.label { "Artifacts" }
                    strong data-fact="artifacts" { (count(overview.artifacts())) }
                }
                span.parts {
                    @for (tier, artifacts) in overview.artifacts_by_tier.iter().enumerate() {
                        a href=(links.to(format_args!("/artifacts?tier={tier}"))) { "tier " (tier) " " b data-fact={ "tier" (tier) } { (count(*artifacts)) } }
                    }
                }
            }
            li {
                a href=(links.to("/deployments")) {
                    span.label { "Deployments" }
                    strong { (count(targets)) }
                }
                span.parts {
                    a href=(links.to("/deployments?health=healthy")) { "healthy " b data-fact="healthy" { (count(overview.healthy_deployments)) } }
                    a.bad[overview.drifted_deployments > 0] href=(links.to("/deployments?health=drifted&sort=health_since")) { "drifted " b data-fact="drifted" { (count(overview.drifted_deployments)) } }
                    a.warn[overview.unknown_deployments > 0] href=(links.to("/deployments?health=unknown&sort=health_since")) { "unknown " b data-fact="unknown" { (count(overview.unknown_deployments)) } }
                }
            }
            li {
                a href=(links.to("/ceremonies")) {
                    span.label { "Open ceremonies" }
                    strong data-fact="open" { (count(overview.open_ceremonies)) }
                }
                span.parts {
                    @match overview.oldest_ceremony_opened_at {
                        Some(at) => span { "oldest open " b data-fact="oldest" { (since(at, now)) } },
                        None => span { "none waits" },
                    }
                }
            }
            li {
                a href=(links.to("/quarantine")) {
                    span.label { "Quarantined" }
                    strong data-fact="quarantined" { (count(overview.quarantined)) }
                }
                span.parts { span { "of " (plural(view.position(standing).get(), "entry")) } }
            }
            @if let Some(standing) = view.at_present(standing) {
                li {
                    span.label { "Projector" }
                    strong.word { (standing.state) }
                    span.parts {
                        span { "position " b data-fact="position" { (count(standing.position.get())) } }
                        span.warn[standing.lag > 0] { "lag " b data-fact="lag" { (count(standing.lag)) } }
                    }
                }
            }
        }
    }
}

fn needs(
    view: &View,
    overview: &Overview,
    at_present: Option<&Standing>,
    attention: &Attention,
) -> Markup {
    let seen = view.seen();
    let Seen { links, now } = seen;
    let stale = format!("custody_state=deployed&sort=tier&verified_before={}", view.stale_before());
    let days = view.app.stale_after.as_secs() / 86_400;
    let feeds = || at_present.into_iter().flat_map(|standing| &standing.feeds);
    let refused: u64 = feeds().map(|feed| feed.refused).sum();
    let all = attention.count(overview, at_present);
    html! {
        section #attention .panel data-live data-count=(all) aria-labelledby="attention-title" {
            h2 #attention-title { "Needs attention" }
            @if all == 0 && overview.artifacts() == 0 { (nothing("Nothing is governed yet.")) }
            @else if all == 0 { (nothing("Nothing is drifted, unknown, failed, quarantined or stale.")) }
            @if let Some(standing) = at_present.filter(|standing| !standing.is_sound()) {
                div.group {
                    h3 { (badge(Tone::Bad, "projection")) " What is shown may be old" }
                    p { "The projector is " (standing.state) @if !standing.is_live { "; live updates have stopped" } "."
                        @if let Some(error) = &standing.last_error { " " (text(&error.message)) " (" (ago(error.at, now)) ")" } }
                }
            }
            @for (feed, error) in feeds().filter_map(FeedStanding::deaf_for) {
                div.group {
                    h3 { (badge(Tone::Bad, "feed")) " Ceremony feed disconnected" }
                    p { (text(&feed.name)) ": " (text(&error.message)) " (" (ago(error.at, now)) ")" }
                }
            }
            (group(seen, &attention.drifted, &html! { (badge(Tone::Bad, "drifted")) " Something else runs than was ratified" },
                &links.to(format_args!("/artifacts?drift=drifted&{STATES}&sort=tier")), "drifted"))
            (group(seen, &attention.unknown, &html! { (badge(Tone::Warn, "unknown")) " A target could not be looked at" },
                &links.to(format_args!("/artifacts?drift=unknown&{STATES}&sort=tier")), "unknown"))
            @if !attention.failed.rows.is_empty() {
                div.group {
                    h3 { (badge(Tone::Bad, "failed")) " A verifier found it wrong, and has not found otherwise since" }
                    ul {
                        @for (row, verdicts) in &attention.failed.rows {
                            li id={ "failed-" (row.id) } {
                                (artifact(links, row.id, &row.name))
                                @if let Some(latest) = verdicts.rows.first() { span { "failed " (ago(latest.verified_at, now)) } }
                                span.muted {
                                    @for (at, verdict) in verdicts.rows.iter().enumerate() { @if at > 0 { ", " } (verifier(verdict)) }
                                    @if verdicts.next.is_some() { " and more" }
                                    " · tier " (row.tier.get())
                                }
                            }
                        }
                    }
                    (attention.failed.rest(&links.to(format_args!("/artifacts?verdict=failed&{STATES}&sort=tier")), &format!("by the latest {LATEST} failures")))
                }
            }
            @if !attention.overdue.rows.is_empty() {
                div.group {
                    h3 { (badge(Tone::Bad, "overdue")) " The time that an accord gives has run out" }
                    ul {
                        @for row in &attention.overdue.rows {
                            li id={ "overdue-" (row.duty) "-" (row.artifact_id) } { (artifact(links, row.artifact_id, &row.name)) span { (format::duty_words(row.duty)) } span.muted { (text(&row.accord)) " · tier " (row.tier.get()) } }
                        }
                    }
                    @if attention.overdue.count() > attention.overdue.rows.len() as u64 {
                        p.more { (plural(attention.overdue.verify, "artifact")) " to verify, " (count(attention.overdue.mend)) " to mend, " (count(attention.overdue.review)) " to review" }
                    }
                }
            }
            @if !attention.stale.rows.is_empty() {
                div.group {
                    h3 { (badge(Tone::Warn, "stale")) " Deployed, and no verdict in the last " (days) " days" }
                    ul {
                        @for (row, ()) in &attention.stale.rows {
                            li id={ "stale-" (row.id) } { (artifact(links, row.id, &row.name)) span.muted { (format::words(&row.artifact_type)) " · tier " (row.tier.get()) } }
                        }
                    }
                    (attention.stale.rest(&links.to(format_args!("/artifacts?{stale}")), AMONG))
                }
            }
            @if !attention.quarantined.rows.is_empty() {
                div.group {
                    h3 { (badge(Tone::Warn, "quarantined")) " Entries that break an invariant" }
                    ul {
                        @for row in &attention.quarantined.rows {
                            li id={ "q" (row.position) } { code { (row.code.as_str()) } span { (text(&row.reason)) } span.muted { "position " a href=(links.to(format_args!("/quarantine/{}", row.position))) { (count(row.position.get())) } } }
                        }
                    }
                    p.more { a href=(links.to("/quarantine")) { "The whole quarantine: " (count(overview.quarantined)) } }
                }
            }
            @if refused > 0 {
                div.group {
                    h3 { (badge(Tone::Warn, "reported")) " What feeds of ceremonies could not settle" }
                    p.more { a href=(links.to("/quarantine#feeds")) { (plural(refused, "report")) " of steps refused and of ceremonies left open" } }
                }
            }
        }
    }
}

fn group(
    Seen { links, now }: Seen<'_>,
    group: &Group<Page<DeploymentState>>,
    title: &Markup,
    all: &str,
    word: &str,
) -> Markup {
    html! {
        @if !group.rows.is_empty() {
            div.group {
                h3 { (title) }
                ul {
                    @for (row, targets) in &group.rows {
                        li id={ (word) "-" (row.id) } {
                            (artifact(links, row.id, &row.name))
                            @if let Some(at) = row.drift_since { span { (word) " " (since(at, now)) } }
                            span.muted {
                                "on "
                                @for (at, row) in targets.rows.iter().enumerate() { @if at > 0 { ", " } (text(&row.target)) }
                                @if targets.next.is_some() { " and more" }
                                " · tier " (row.tier.get())
                            }
                        }
                    }
                }
                (group.rest(all, AMONG))
            }
        }
    }
}

fn waiting(Seen { links, now }: Seen<'_>, open: &Page<OpenCeremony>) -> Markup {
    html! {
        section #waiting .panel data-live aria-labelledby="waiting-title" {
            h2 #waiting-title { "Waiting for a decision" }
            @if open.rows.is_empty() { (nothing("No ceremony is open.")) }
            @else {
                ul.list {
                    @for row in &open.rows {
                        li id={ "c" (row.opened.position) } {
                            (artifact(links, row.opened.artifact_id, &row.name))
                            span { @match row.ceremony_id { Some(id) => a href=(links.to(format_args!("/ceremonies/{id}"))) { "open " (since(row.opened.occurred_at, now)) }, None => { "open " (since(row.opened.occurred_at, now)) } } }
                            span.muted { "by " (text(&row.opened.actor)) " · tier " (row.tier.get()) }
                        }
                    }
                }
                @if open.next.is_some() { p.more { a href=(links.to("/ceremonies")) { "All open ceremonies" } } }
            }
        }
    }
}

fn verdicts(Seen { links, now }: Seen<'_>, latest: &[(String, VerificationResult)]) -> Markup {
    html! {
        section #verdicts .panel data-live aria-labelledby="verdicts-title" {
            h2 #verdicts-title { a href=(links.to("/verifications")) { "Latest verifications" } }
            @if latest.is_empty() { (nothing("Nothing was verified yet.")) }
            ul.list.verdicts {
                @for (name, row) in latest {
                    li id={ "v" (row.id) } {
                        (format::outcome(row.outcome))
                        div { (artifact(links, row.artifact_id, name)) span.kind { (verifier(row)) } }
                        span { (ago(row.verified_at, now)) }
                    }
                }
            }
        }
    }
}

fn projector(Seen { now, .. }: Seen<'_>, standing: &Standing) -> Markup {
    html! {
        section #projector .panel data-live aria-labelledby="projector-title" {
            h2 #projector-title { "Projector" }
            dl.facts {
                dt { "State" } dd { (badge(if standing.is_healthy { Tone::Good } else { Tone::Bad }, standing.state)) }
                dt { "Position" } dd { (count(standing.position.get())) " of " (count(standing.head.get())) }
                dt { "Lag" } dd { (plural(standing.lag, "entry")) }
                @if let Some(rate) = standing.rate { dt { "Rate" } dd { (format!("{rate:.0}")) " entries a second" } }
                @if let Some(restarts) = standing.restarts { dt { "Restarts" } dd { (count(restarts)) } }
                dt { "Last error" }
                dd {
                    @match &standing.last_error {
                        Some(error) => { (text(&error.message)) " (" (ago(error.at, now)) ")" }
                        None => "none",
                    }
                }
                @for feed in &standing.feeds {
                    dt { "Feed " (text(&feed.name)) }
                    dd { (plural(feed.recorded, "step")) " recorded, " (count(feed.refused)) " refused or left open" @if let Some(error) = &feed.last_error { "; last error " (ago(error.at, now)) ": " (text(&error.message)) } }
                }
            }
        }
    }
}
