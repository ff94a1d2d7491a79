//! How much of the estate is as it should be at each day's end; the longest drifts, and how long it took to
//! recover from them.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use guildhall_core::{
    AccordId, DriftSpan, MAX_PAGE_ROWS, MAX_POSTURE_DAYS, OPS_DB, OpsDb, PeriodQuery, PostureBy,
    PostureDay, PostureQuery, Recovery, StoreError, Timestamp,
};
use maud::{Markup, html};

use super::{Names, Place, heading, names_of, nothing, scrolling, shown, whole};
use crate::error::RequestError;
use crate::format::{artifact, cid, count, exact, key, lasted, plural, span, text};
use crate::params::Params;
use crate::standing::Standing;
use crate::view::{Links, Seen, View};

/// How many groups are drawn, those with the most targets.
const GROUPS: usize = 12;

/// How many drifts are listed, of as many as one page of them has.
const LISTED: usize = 20;

/// Up to how many days each has a mark of its own.
const MARKED_DAYS: usize = 62;

/// Periods that there are links to, in days.
const PERIODS: [u32; 4] = [7, 30, 90, 365];

const DAY_MICROS: i64 = 86_400_000_000;

/// What the parameters ask for.
struct Asked {
    query: PostureQuery,
    days: Vec<Timestamp>,
}

impl Asked {
    fn read(params: &Params, now: Timestamp) -> Result<Self, RequestError> {
        let days = params.one::<u32>("days")?.unwrap_or(30);
        if !(1..=MAX_POSTURE_DAYS).contains(&days) {
            let reason = format!("from 1 to {MAX_POSTURE_DAYS}");
            return Err(RequestError::BadParameter { name: "days", reason });
        }
        let until = params.one::<Timestamp>("until")?.unwrap_or(now);
        let by = params.one::<PostureBy>("by")?.unwrap_or(PostureBy::Estate);
        let query = PostureQuery::last_days(days, until).by(by);
        Ok(Self { days: query.days(), query })
    }

    /// From the beginning of the first day to the end of the last.
    fn period(&self) -> PeriodQuery {
        let since = self.days.first().copied().unwrap_or(Timestamp::MAX);
        let last = self.days.last().copied().unwrap_or(Timestamp::MAX);
        let before = Timestamp::from_micros(last.as_micros().saturating_add(DAY_MICROS));
        PeriodQuery::between(since, before.unwrap_or(Timestamp::MAX)).limit(MAX_PAGE_ROWS)
    }
}

/// A group of the estate, day by day; none on a day when it had no target.
struct Group {
    name: String,
    /// The page that has its artifacts.
    page: Option<String>,
    days: Vec<Option<PostureDay>>,
}

impl Group {
    fn last(&self) -> Option<&PostureDay> {
        self.days.iter().rev().flatten().next()
    }
}

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let params = &view.params;
    let asked = Asked::read(params, view.now)?;
    let loaded = async {
        let standing = Standing::load(&view.app).await?;
        let moment = view.ops_db.snapshot().await?;
        let history_from = moment.checkpoints().await?.into_iter();
        let history_from =
            history_from.filter(|row| row.projector == OPS_DB).find_map(|row| row.history_from);
        let found = moment.posture(&asked.query).await?;
        let (groups, others) = groups(&view, &*moment, &asked, found).await?;
        let period = asked.period();
        let drifts = moment.drifts(&period).await?;
        let recovery = moment.recovery(&period).await?;
        let ids: BTreeSet<_> = drifts.rows.iter().map(|row| row.artifact_id).collect();
        let names = names_of(&*moment, ids).await?;
        Ok::<_, RequestError>((standing, history_from, groups, others, drifts, recovery, names))
    };
    let (standing, history_from, groups, others, drifts, recovery, names) = loaded.await?;
    let is_cut = drifts.next.is_some();
    let content = html! {
        (heading(&html! { "Posture" }, &html! { span.muted { "share of targets that were healthy at each day's end, UTC" } }))
        (choices(&view, &asked))
        @if let Some(position) = history_from {
            p.note { "The Ops DB has history from position " (count(position.get())) " on: a rebuild brings in what came before." }
        }
        section.panel aria-labelledby="shares" {
            h2 #shares { "Healthy" }
            @if groups.is_empty() { (nothing("No target was observed by then.")) }
            @else {
                div.shares { @for group in &groups { (chart(group, &asked.days)) } }
                @if others > 0 { p.note { (plural(others, "smaller group")) " left out, here and below." } }
                (scrolling("Share healthy by day", &table(&groups, &asked.days)))
            }
        }
        section.panel aria-labelledby="recovery" {
            h2 #recovery { "Time to recovery" }
            (recovered(recovery))
        }
        section.panel aria-labelledby="drifts" {
            h2 #drifts { "Longest drifts" }
            @if is_cut { p.note { "Among the latest " (count(drifts.rows.len() as u64)) " that began in this period." } }
            (longest(view.seen(), drifts.rows, &names))
        }
    };
    Ok(shown(whole(&view, Place::Posture, "Posture", Some(&standing), &content)))
}

/// The groups with the most targets in the end, and how many others there are.
async fn groups(
    view: &View,
    moment: &dyn OpsDb,
    asked: &Asked,
    found: Vec<PostureDay>,
) -> Result<(Vec<Group>, u64), StoreError> {
    let places: BTreeMap<_, _> =
        asked.days.iter().enumerate().map(|(nth, day)| (*day, nth)).collect();
    let mut days = BTreeMap::<String, Vec<Option<PostureDay>>>::new();
    for day in found {
        let Some(nth) = places.get(&day.day) else { continue };
        let of_group =
            days.entry(day.group.clone()).or_insert_with(|| vec![None; asked.days.len()]);
        of_group[*nth] = Some(day);
    }
    let mut largest: Vec<_> = days.into_iter().collect();
    let targets = |days: &[Option<PostureDay>]| {
        days.iter().rev().flatten().next().map_or(0, PostureDay::targets)
    };
    largest.sort_by_key(|(_, days)| std::cmp::Reverse(targets(days)));
    let others = largest.len().saturating_sub(GROUPS) as u64;
    largest.truncate(GROUPS);
    largest.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut groups = Vec::with_capacity(largest.len());
    for (group, days) in largest {
        let (name, page) = named(view.links(), moment, asked.query.by, &group).await?;
        groups.push(Group { name, page, days });
    }
    Ok((groups, others))
}

/// What people call a group, and the page that has its artifacts.
async fn named(
    links: Links<'_>,
    moment: &dyn OpsDb,
    by: PostureBy,
    group: &str,
) -> Result<(String, Option<String>), StoreError> {
    Ok(match by {
        PostureBy::Estate => {
            ("The whole estate".to_owned(), Some(links.to(format_args!("/artifacts"))))
        }
        PostureBy::Tier => {
            (format!("Tier {group}"), Some(links.to(format_args!("/artifacts?tier={group}"))))
        }
        PostureBy::ArtifactType => {
            let page = links.to(format_args!("/artifacts?artifact_type={}", key(group)));
            (group.to_owned(), Some(page))
        }
        PostureBy::Accord => {
            let Ok(id) = group.parse::<AccordId>() else { return Ok((group.to_owned(), None)) };
            let name = moment.accord(id).await?.map_or_else(|| group.to_owned(), |row| row.name);
            (name, Some(links.to(format_args!("/accords/{id}"))))
        }
    })
}

/// The period and the division, as links that keep each other.
fn choices(view: &View, asked: &Asked) -> Markup {
    let params = &view.params;
    let word = |by: PostureBy| match by {
        PostureBy::Estate => "whole",
        PostureBy::Tier => "by tier",
        PostureBy::ArtifactType => "by type",
        PostureBy::Accord => "by accord",
    };
    let to = |changes: &[(&str, &str)]| {
        view.links().to(format_args!("/posture?{}", params.with(changes)))
    };
    let first = asked.days.first().copied().unwrap_or(Timestamp::MIN);
    let earlier = Timestamp::from_micros(first.as_micros().saturating_sub(1));
    html! {
        nav.parts aria-label="Period and division" {
            ul.choices {
                @for days in PERIODS {
                    @let is_this = days == asked.query.days;
                    li { a href=(to(&[("days", &days.to_string())])) aria-current=[is_this.then_some("true")] { (days) " days" } }
                }
            }
            ul.choices {
                @for by in PostureBy::ALL {
                    @let is_this = *by == asked.query.by;
                    li { a href=(to(&[("by", by.as_str())])) aria-current=[is_this.then_some("true")] { (word(*by)) } }
                }
            }
            ul.choices {
                @if let Ok(earlier) = earlier { li { a href=(to(&[("until", &earlier.to_string())])) { "‹ Earlier" } } }
                @if params.first("until").is_some() { li { a href=(to(&[("until", "")])) { @if view.moment.is_some() { "Until then" } @else { "Until today" } } } }
            }
        }
    }
}

/// The day of a time that begins one.
fn date(day: Timestamp) -> String {
    day.to_string()[..10].to_owned()
}

/// How many of a thousand targets were healthy, rounded down: a thousand are all of them.
fn per_mille(day: &PostureDay) -> u64 {
    (day.healthy * 1000).checked_div(day.targets()).unwrap_or(0)
}

fn percent(day: &PostureDay) -> String {
    let share = per_mille(day);
    format!("{}.{} %", share / 10, share % 10)
}

/// Where the drawing of a share begins and ends.
const LEFT: u64 = 44;
const WIDTH: u64 = 400;
const TOP: u64 = 14;
const HEIGHT: u64 = 100;

fn x(nth: usize, days: usize) -> u64 {
    let steps = (days as u64).saturating_sub(1);
    LEFT + (nth as u64 * WIDTH).checked_div(steps).unwrap_or(WIDTH)
}

fn y(share: u64) -> u64 {
    TOP + (1000 - share.min(1000)) * HEIGHT / 1000
}

/// One group's share, day by day: a line that breaks off where there was no target, a mark for each day
/// where they fit, and the last figure in words. Nothing in it depends on a colour.
fn chart(group: &Group, days: &[Timestamp]) -> Markup {
    let mut lines = vec![String::new()];
    let mut marks = Vec::new();
    for (nth, day) in group.days.iter().enumerate() {
        match (day, lines.last_mut()) {
            (Some(day), Some(line)) => {
                let at = (x(nth, days.len()), y(per_mille(day)));
                line.push_str(&format!("{},{} ", at.0, at.1));
                marks.push(at);
            }
            _ => lines.push(String::new()),
        }
    }
    let last = marks.last().copied();
    if days.len() > MARKED_DAYS {
        marks.clear();
    }
    let end = group.last().map(percent).unwrap_or_default();
    let lowest = group.days.iter().flatten().min_by_key(|day| per_mille(day));
    let label = lowest.map_or_else(String::new, |lowest| {
        let (day, share) = (date(lowest.day), percent(lowest));
        format!("{}: {end} healthy in the end; lowest {share} on {day}", group.name)
    });
    let ends = [days.first(), days.last()].map(|day| day.map(|day| date(*day)).unwrap_or_default());
    html! {
        figure.share {
            figcaption { @match &group.page { Some(page) => a href=(page) { (text(&group.name)) }, None => (text(&group.name)) } " " b { (end) } }
            svg viewBox="0 0 460 140" role="img" aria-label=(label) {
                @for (share, word) in [(1000, "100 %"), (500, "50 %"), (0, "0 %")] {
                    line x1=(LEFT) x2=(LEFT + WIDTH) y1=(y(share)) y2=(y(share)) {}
                    text x=(LEFT - 6) y=(y(share) + 4) text-anchor="end" { (word) }
                }
                text x=(LEFT) y="134" { (ends[0]) }
                text x=(LEFT + WIDTH) y="134" text-anchor="end" { (ends[1]) }
                @for line in lines.iter().filter(|line| !line.is_empty()) { polyline points=(line.trim_end()) {} }
                @for (x, y) in &marks { circle cx=(x) cy=(y) r="2.5" {} }
                @if let Some((x, y)) = last { circle.last cx=(x) cy=(y) r="5" {} }
            }
        }
    }
}

/// The same figures, the latest day first.
fn table(groups: &[Group], days: &[Timestamp]) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Day" } @for group in groups { th scope="col" { (text(&group.name)) } } } }
            tbody {
                @for (nth, day) in days.iter().enumerate().rev() {
                    tr id={ "day-" (date(*day)) } {
                        th scope="row" { (date(*day)) }
                        @for group in groups {
                            td data-label=(group.name) {
                                @match &group.days[nth] {
                                    Some(day) => { (percent(day)) " " span.muted { (count(day.healthy)) " of " (count(day.targets())) } }
                                    None => span.muted { "no target" },
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn recovered(recovery: Recovery) -> Markup {
    let mean = recovery.mean().map(|mean| i64::try_from(mean.as_micros()).unwrap_or(i64::MAX));
    html! {
        dl.facts {
            dt { "Drifts that began" } dd { (count(recovery.drifts)) }
            dt { "Healthy again" } dd { (count(recovery.recovered)) }
            dt { "On average after" } dd { @match mean { Some(mean) => (span(mean)), None => span.muted { "none has recovered" } } }
        }
    }
}

/// The drifts that lasted longest, or last still.
fn longest(Seen { links, now }: Seen<'_>, mut drifts: Vec<DriftSpan>, names: &Names) -> Markup {
    let micros = |row: &DriftSpan| {
        row.ended_at.unwrap_or(now).as_micros().saturating_sub(row.drifted_at.as_micros())
    };
    drifts.sort_by_key(|row| std::cmp::Reverse(micros(row)));
    drifts.truncate(LISTED);
    if drifts.is_empty() {
        return nothing("No drift began in this period.");
    }
    scrolling(
        "Drifts, the longest first",
        &html! {
            table {
                thead { tr {
                    th scope="col" { "Artifact" } th scope="col" { "Target" } th scope="col" { "Lasted" }
                    th scope="col" { "Began" } th scope="col" { "Ended" } th scope="col" { "Should have run" } th scope="col" { "Ran" }
                } }
                tbody { @for row in &drifts {
                    @let id = format!("x{}", row.position);
                    @let name = names.get(&row.artifact_id).map_or("", String::as_str);
                    tr id=(id) {
                        th scope="row" { (artifact(links, row.artifact_id, name)) }
                        td data-label="on" { (text(&row.target)) }
                        td data-label="for" { (lasted(row.drifted_at, row.ended_at.unwrap_or(now))) }
                        td data-label="began" { (exact(row.drifted_at)) }
                        td data-label="ended" { @match row.ended_at { Some(at) => { (exact(at)) @if let Some(health) = row.ended_as { " as " (health.as_str()) } } None => "not yet" } }
                        td data-label="should have run" { (cid(&id, "desired", row.desired_cid)) }
                        td data-label="ran" { @match row.observed_cid { Some(observed) => (cid(&id, "observed", observed)), None => span.muted { "nothing" } } }
                    }
                } }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(healthy: u64, drifted: u64) -> PostureDay {
        PostureDay { day: Timestamp::MIN, group: String::new(), healthy, drifted, unknown: 0 }
    }

    #[test]
    fn only_all_of_them_are_a_hundred_percent() {
        assert_eq!(percent(&day(1, 0)), "100.0 %");
        assert_eq!(percent(&day(99_999, 1)), "99.9 %");
        assert_eq!(percent(&day(0, 3)), "0.0 %");
        assert_eq!(percent(&day(1, 2)), "33.3 %");
    }

    #[test]
    fn a_line_breaks_off_where_there_was_no_target_and_stays_within_its_frame() {
        let days: Vec<_> =
            (0..5).filter_map(|day| Timestamp::from_micros(day * DAY_MICROS).ok()).collect();
        let days_of =
            vec![Some(day(1, 1)), Some(day(1, 0)), None, Some(day(0, 1)), Some(day(1, 1))];
        let group = Group { name: "north".to_owned(), page: None, days: days_of };
        let drawn = chart(&group, &days).into_string();
        assert_eq!(drawn.matches("<polyline").count(), 2, "{drawn}");
        assert!(drawn.contains("points=\"44,64 144,14\""), "{drawn}");
        assert!(drawn.contains("points=\"344,114 444,64\""), "{drawn}");
        assert_eq!(drawn.matches("<circle").count(), 5, "{drawn}");
        assert!(drawn.contains("50.0 % healthy in the end; lowest 0.0 % on"), "{drawn}");
    }
}
