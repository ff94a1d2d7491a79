//! How facts are written for people: times, ages, ids, states.

use guildhall_core::terms::Duty;
use guildhall_core::{
    ArtifactId, Cid, CustodyState, Drift, Health, Outcome, Position, Timestamp, VerificationResult,
};
use guildhall_projector::ceremony::CeremonyOutcome;
use maud::{Markup, html};

use crate::view::Links;

/// How long something took or has lasted, in its largest unit: `3 h`.
pub(crate) fn span(micros: i64) -> String {
    let seconds = micros.unsigned_abs() / 1_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..172_800 => format!("{hours} h"),
        _ if days < 90 => format!("{days} d"),
        _ if days < 730 => format!("{} mo", days / 30),
        _ => format!("{} y", days / 365),
    }
}

/// When something happened, seen from now.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let micros = now.as_micros().saturating_sub(at.as_micros());
    match micros {
        -999_999..5_000_000 => "just now".to_owned(),
        5_000_000.. => format!("{} ago", span(micros)),
        _ => format!("in {}", span(micros)),
    }
}

/// The moment for people, with its fraction where it has one.
pub(crate) fn exact(at: Timestamp) -> String {
    let text = at.to_string().replace('T', " ");
    let text = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{text} UTC")
}

fn timed(at: Timestamp, relative: &str, exactly: &str) -> Markup {
    html! {
        time datetime=(at) title=(exact(at)) {
            span.rel { (relative) }
            span.abs { (exactly) }
        }
    }
}

/// A moment, relative; exact on demand.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    timed(at, &relative(at, now), &exact(at))
}

/// How long something has lasted, `for 3 h`; on demand exactly since when.
pub(crate) fn since(at: Timestamp, now: Timestamp) -> Markup {
    timed(at, &format!("for {}", lasted(at, now)), &format!("since {}", exact(at)))
}

/// How long something took that has ended, `3 h`; on demand exactly from when.
pub(crate) fn took(from: Timestamp, to: Timestamp) -> Markup {
    timed(from, &lasted(from, to), &format!("from {}", exact(from)))
}

/// How long it is from one moment to another.
pub(crate) fn lasted(from: Timestamp, to: Timestamp) -> String {
    span(to.as_micros().saturating_sub(from.as_micros()).max(0))
}

/// A count with its thousands apart.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number of what the word says, in the plural of most words.
pub(crate) fn plural(value: u64, word: &str) -> String {
    let number = count(value);
    match word.strip_suffix('y') {
        _ if value == 1 => format!("{number} {word}"),
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {word}s"),
    }
}

/// What names a text on a page: no white space, whatever the text is.
pub(crate) fn key(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// What is shown short, and whole on demand. The id is the page's own for it, by which it stays
/// open while its row is exchanged.
fn on_demand(row: &str, name: &str, short: &str, whole: &str, page: Option<&str>) -> Markup {
    html! {
        span.copyable {
            details.whole id={ (row) "-" (name) } { summary { (short) } code { @match page { Some(page) => a href=(page) { (whole) }, None => (whole) } } }
            button.copy type="button" id={ (row) "-" (name) "-copy" } data-copy=(whole) aria-label={ "Copy " (short) } title="Copy" { "⧉" }
        }
    }
}

/// An id or a hash by its end: ids of one time begin alike.
pub(crate) fn short(row: &str, name: &str, whole: &str) -> Markup {
    let tail = &whole[whole.len().saturating_sub(8)..];
    on_demand(row, name, &format!("…{tail}"), whole, None)
}

/// The same of an id, with a link to its page.
pub(crate) fn linked(row: &str, name: &str, whole: &str, page: &str) -> Markup {
    let tail = &whole[whole.len().saturating_sub(8)..];
    on_demand(row, name, &format!("…{tail}"), whole, Some(page))
}

/// A position of the log, linked.
pub(crate) fn position(links: Links<'_>, position: Position) -> Markup {
    html! { a.at href=(links.to(format_args!("/log/{position}"))) { (count(position.get())) } }
}

/// A CID by both ends, as the terminal has it.
pub(crate) fn cid(row: &str, name: &str, cid: Cid) -> Markup {
    let whole = cid.to_string();
    let short = format!("{}…{}", &whole[..7], &whole[whole.len() - 6..]);
    on_demand(row, name, &short, &whole, None)
}

/// Text that somebody else wrote: its direction stays its own.
pub(crate) fn text(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// An artifact's name, linked.
pub(crate) fn artifact(links: Links<'_>, id: ArtifactId, name: &str) -> Markup {
    html! { a.name href=(links.to(format_args!("/artifacts/{id}"))) { (text(if name.is_empty() { "(no name)" } else { name })) } }
}

/// What a badge stands for: its colour and its sign, so that colour is never the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warn,
    Busy,
    Quiet,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "badge good",
            Self::Bad => "badge bad",
            Self::Warn => "badge warn",
            Self::Busy => "badge busy",
            Self::Quiet => "badge quiet",
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Bad => "✕",
            Self::Warn => "!",
            Self::Busy => "◔",
            Self::Quiet => "–",
        }
    }
}

pub(crate) fn badge(tone: Tone, word: &str) -> Markup {
    html! { span class=(tone.class()) { span.sign aria-hidden="true" { (tone.sign()) } (word) } }
}

/// A word of the data, for people.
pub(crate) fn words(word: &str) -> String {
    word.replace('_', " ")
}

pub(crate) fn custody(state: Option<CustodyState>) -> Markup {
    let Some(state) = state else { return badge(Tone::Quiet, "none yet") };
    let tone = match state {
        CustodyState::Ratified | CustodyState::Deployed => Tone::Good,
        CustodyState::Rejected => Tone::Bad,
        CustodyState::Suspended => Tone::Warn,
        CustodyState::CeremonyOpen => Tone::Busy,
        CustodyState::Drafted | CustodyState::Retired => Tone::Quiet,
    };
    badge(tone, &words(state.as_str()))
}

pub(crate) fn drift(drift: Drift) -> Markup {
    let tone = match drift {
        Drift::Healthy => Tone::Good,
        Drift::Drifted => Tone::Bad,
        Drift::Unknown => Tone::Warn,
        Drift::Undeployed => Tone::Quiet,
    };
    badge(tone, drift.as_str())
}

/// The posture of an artifact in its state: that what is retired was healthy is not good news.
pub(crate) fn posture(state: Option<CustodyState>, found: Drift) -> Markup {
    match (state, found) {
        (Some(CustodyState::Retired), Drift::Healthy) => badge(Tone::Quiet, found.as_str()),
        _ => drift(found),
    }
}

pub(crate) fn health(health: Health) -> Markup {
    drift(match health {
        Health::Healthy => Drift::Healthy,
        Health::Drifted => Drift::Drifted,
        Health::Unknown => Drift::Unknown,
    })
}

/// Whether a clock has run out.
pub(crate) fn duty(is_overdue: bool) -> Markup {
    if is_overdue { badge(Tone::Bad, "overdue") } else { badge(Tone::Busy, "due") }
}

/// What a clock runs for.
pub(crate) const fn duty_words(duty: Duty) -> &'static str {
    match duty {
        Duty::Verify => "to be verified again",
        Duty::Mend => "the drift is to be mended",
        Duty::Review => "the ceremony is to be decided",
    }
}

pub(crate) fn outcome(outcome: Outcome) -> Markup {
    let tone = match outcome {
        Outcome::Passed => Tone::Good,
        Outcome::Failed => Tone::Bad,
        Outcome::Inconclusive => Tone::Warn,
    };
    badge(tone, outcome.as_str())
}

/// Who verified, and where; a line breaks before the latter.
pub(crate) fn verifier(row: &VerificationResult) -> Markup {
    html! {
        span.unit { (text(&row.verifier)) }
        @if let Some(target) = &row.target { " " span.unit { "on " (text(target)) } }
    }
}

pub(crate) fn decided(to_state: CustodyState) -> Markup {
    match CeremonyOutcome::of_state(to_state) {
        Some(CeremonyOutcome::Ratified) => badge(Tone::Good, "ratified"),
        Some(CeremonyOutcome::Rejected) => badge(Tone::Bad, "rejected"),
        Some(CeremonyOutcome::Withdrawn) => badge(Tone::Quiet, "withdrawn"),
        None => badge(Tone::Quiet, &words(to_state.as_str())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn words_have_their_plural() {
        for (number, word, expected) in [
            (0, "entry", "0 entries"),
            (1, "entry", "1 entry"),
            (2, "entry", "2 entries"),
            (1, "link", "1 link"),
            (3, "link", "3 links"),
        ] {
            assert_eq!(plural(number, word), expected);
        }
    }

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let now = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
        let before = |seconds: i64| {
            let at = Timestamp::from_micros(now.as_micros() - seconds * 1_000_000).unwrap();
            relative(at, now)
        };
        for (seconds, told) in [
            (0, "just now"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3600, "1 h ago"),
            (47 * 3600, "47 h ago"),
            (3 * 86_400, "3 d ago"),
            (100 * 86_400, "3 mo ago"),
            (800 * 86_400, "2 y ago"),
            (-7200, "in 2 h"),
        ] {
            assert_eq!(before(seconds), told);
        }
        assert_eq!(relative(Timestamp::MIN, Timestamp::MAX), "10005 y ago");
    }

    #[test]
    fn a_duration_reads_right_in_both_forms() {
        let at = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
        let now = Timestamp::from_micros(at.as_micros() + 7_200_000_000).unwrap();
        let page = since(at, now).into_string();
        assert!(page.contains("for 2 h") && page.contains("since 2027-01-15 08:00:00 UTC"));
        let page = took(at, now).into_string();
        assert!(page.contains(">2 h<") && page.contains("from 2027-01-15 08:00:00 UTC"));
        for (micros, fraction) in [(0, ""), (120_000, ".12"), (1, ".000001")] {
            let at = Timestamp::from_micros(at.as_micros() + micros).unwrap();
            assert_eq!(exact(at), format!("2027-01-15 08:00:00{fraction} UTC"));
        }
    }

    #[test]
    fn a_cid_is_short_as_in_the_terminal() {
        let of = Cid::of(&guildhall_core::Json::parse(r#"{"a":1}"#).unwrap());
        assert!(cid("a", "cid", of).into_string().contains("bafkrei…vf7ymi"));
    }

    #[test]
    fn what_others_wrote_is_escaped() {
        let hostile = "<script>alert(1)</script>\" onload=\"x";
        let page = text(hostile).into_string();
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
        let links = Links { base: "/\"><b>", as_of: None };
        let link = artifact(links, ArtifactId::new(), hostile).into_string();
        assert!(!link.contains("<b>") && !link.contains("<script>"));
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        for (value, text) in
            [(0, "0"), (999, "999"), (1000, "1\u{202f}000"), (1234567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(count(value), text);
        }
    }
}
