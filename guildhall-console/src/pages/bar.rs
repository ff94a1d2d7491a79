//! Which moment a page is about: a word for it that nobody overlooks where it is not now, and the way to another.

use guildhall_core::{AsOf, Position, Timestamp};
use maud::{Markup, html};

use super::Place;
use crate::format::{Tone, badge, count, exact};
use crate::moment::{AS_OF, Moment};
use crate::standing::Standing;
use crate::view::View;

const DAY_MICROS: i64 = 86_400 * 1_000_000;

/// What a moment may be, for who is to type one.
pub(crate) const ACCEPTED: &str =
    "a position, such as 1042, or a time, such as 2026-11-03T14:00:00Z";

/// The moment in words.
fn words(moment: Moment) -> String {
    let Moment { as_of, position, at } = moment;
    let (position, at) = (count(position.get()), exact(at));
    match as_of {
        AsOf::Position(_) => format!("As of position {position} ({at}), not now"),
        AsOf::Time(_) => format!("As of {at} (position {position}), not now"),
    }
}

/// What is meant by a moment on its axis.
const fn meaning(as_of: AsOf) -> &'static str {
    match as_of {
        AsOf::Position(_) => "What was known once this entry was applied.",
        AsOf::Time(_) => {
            "What was the case then, by all that is known now. Accords and entries in quarantine \
             tell of no time: those that are known now are shown."
        }
    }
}

/// What a page leaves out, or cannot say, since nothing is kept of how it was.
const fn gaps(place: Place) -> Option<&'static str> {
    match place {
        Place::Dashboard => Some("Where the projector and feeds stood is not kept."),
        Place::Quarantine => Some("What feeds reported is not kept."),
        Place::Artifacts | Place::Deployments => Some(
            "Looks at a target that changed nothing are not kept: seen is when it last changed. What \
             of it is sealed is left out, which is known of now.",
        ),
        Place::Log => Some("Whether it is sealed is left out, which is known of now."),
        Place::Proof => Some("Seals, and what was verified and audited, are those of now."),
        Place::Changes
        | Place::Ceremonies
        | Place::Verifications
        | Place::Posture
        | Place::Accords
        | Place::Search
        | Place::Elsewhere => None,
    }
}

/// What the title of the window begins with, where the page is not about now.
pub(crate) fn title(view: &View) -> Option<String> {
    view.moment.map(|moment| format!("As of {}: ", moment.as_of))
}

/// The way to a moment, where the page is about now.
pub(crate) fn control(view: &View) -> Markup {
    html! {
        @if view.moment.is_none() {
            details.asof { summary { "As of …" } (form(view, None)) }
        }
    }
}

/// That the page is not about now; nothing where it is.
pub(crate) fn banner(view: &View, place: Place, standing: Option<&Standing>) -> Markup {
    let Some(moment) = view.moment else { return html! {} };
    let to = |as_of: &str| format!("?{}", here(view, as_of));
    let [earlier, later] = beside(moment, standing, view.app.now());
    html! {
        section #then .then aria-label="Moment" {
            p role="status" { strong { (badge(Tone::Warn, &words(moment))) } }
            p { (meaning(moment.as_of)) @if let Some(gaps) = gaps(place) { " " (gaps) } }
            (form(view, Some(moment.as_of)))
            nav #moments data-live aria-label="Other moments" {
                @if let Some((name, moment)) = earlier { a href=(to(&moment.to_string())) { "‹ " (name) } }
                @if let Some((name, moment)) = later { a href=(to(&moment.to_string())) { (name) " ›" } }
                a.now href=(to("")) { "Back to now" }
            }
        }
    }
}

/// Where the tables stand, in the bar of a page that is not about now.
pub(crate) fn pulse(moment: Moment) -> Markup {
    html! {
        span #pulse .pulse data-live data-position=(moment.position) {
            (badge(Tone::Warn, "as it was")) span.at { "position " (count(moment.position.get())) }
        }
    }
}

/// The moments before and after: an entry away from a position, a day away from a time.
fn beside(
    Moment { as_of, .. }: Moment,
    standing: Option<&Standing>,
    now: Timestamp,
) -> [Option<(&'static str, AsOf)>; 2] {
    match as_of {
        AsOf::Position(position) => {
            let stands = standing.map_or(Position::ZERO, |standing| standing.position);
            let earlier = Some(position.previous()).filter(|_| position > Position::ZERO);
            let later = position.next().filter(|later| *later <= stands);
            [earlier.map(|it| ("An entry earlier", it)), later.map(|it| ("An entry later", it))]
                .map(|it| it.map(|(name, position)| (name, AsOf::Position(position))))
        }
        AsOf::Time(at) => {
            let day = |days: i64| {
                let micros = at.as_micros().saturating_add(days * DAY_MICROS);
                Timestamp::from_micros(micros).ok()
            };
            let later = day(1).filter(|later| *later <= now);
            [day(-1).map(|it| ("A day earlier", it)), later.map(|it| ("A day later", it))]
                .map(|it| it.map(|(name, at)| (name, AsOf::Time(at))))
        }
    }
}

/// What a page is asked besides its moment: pages of lists begin anew at another.
fn question(view: &View) -> impl Iterator<Item = (&str, &str)> {
    view.params.pairs().filter(|(name, _)| !name.ends_with("after"))
}

/// The query of the same page at another moment, or now.
fn here(view: &View, as_of: &str) -> String {
    let moment = Some((AS_OF, as_of)).filter(|(_, as_of)| !as_of.is_empty());
    let pairs = question(view).chain(moment);
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Asks for a moment, of this page: without an action, a form leads to where it stands.
fn form(view: &View, as_of: Option<AsOf>) -> Markup {
    let value = as_of.map(|moment| moment.to_string());
    html! {
        form method="get" {
            @for (name, value) in question(view) { input type="hidden" name=(name) value=(value); }
            label { "As of " input #as-of type="text" name=(AS_OF) value=[value] placeholder="position or time" maxlength="40" autocomplete="off" title={ "It takes " (ACCEPTED) }; }
            button type="submit" { "Show" }
        }
    }
}
