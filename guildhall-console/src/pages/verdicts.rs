//! Verifications over time, drawn: a row for each outcome, a mark for each verdict. Those of about
//! one moment stand one above the other.

use std::collections::BTreeMap;

use guildhall_core::{Outcome, Timestamp, VerificationResult};
use maud::{Markup, html};

use crate::format::exact;

const WIDTH: f64 = 600.0;
const LEFT: f64 = 120.0;
const ROWS: [(Outcome, f64); 3] =
    [(Outcome::Passed, 28.0), (Outcome::Inconclusive, 64.0), (Outcome::Failed, 100.0)];
/// How wide a mark is, how high a stack of them may be, and how many places lie side by side.
const MARK: f64 = 10.0;
const STACK: f64 = 22.0;
const PLACES: u8 = 46;

/// At which place a moment lies between the first and the last.
fn place(at: Timestamp, first: Timestamp, last: Timestamp) -> u8 {
    let since_first = |at: Timestamp| i128::from(at.as_micros()) - i128::from(first.as_micros());
    let along = since_first(at) * i128::from(PLACES - 1) / since_first(last).max(1);
    u8::try_from(along).unwrap_or(PLACES - 1)
}

/// The verdicts of one outcome by their places.
fn stacks(
    verdicts: &[VerificationResult],
    outcome: Outcome,
) -> BTreeMap<u8, Vec<&VerificationResult>> {
    let mut stacks = BTreeMap::<_, Vec<_>>::new();
    if let (Some(last), Some(first)) = (verdicts.first(), verdicts.last()) {
        for row in verdicts.iter().filter(|row| row.outcome == outcome).rev() {
            let place = place(row.verified_at, first.verified_at, last.verified_at);
            stacks.entry(place).or_default().push(row);
        }
    }
    stacks
}

/// The chart of these verdicts, the latest first; nothing where there is none.
pub(crate) fn chart(verdicts: &[VerificationResult]) -> Markup {
    let (Some(last), Some(first)) = (verdicts.first(), verdicts.last()) else {
        return html! {};
    };
    let (first, last) = (first.verified_at, last.verified_at);
    let of = |outcome| verdicts.iter().filter(|row| row.outcome == outcome).count();
    let told = format!(
        "{} verdicts from {} to {}: {} passed, {} inconclusive, {} failed",
        verdicts.len(),
        exact(first),
        exact(last),
        of(Outcome::Passed),
        of(Outcome::Inconclusive),
        of(Outcome::Failed),
    );
    html! {
        figure.chart {
            svg viewBox="0 0 600 114" role="img" aria-label=(told) {
                @for (outcome, y) in ROWS {
                    line x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                    text x="0" y=(y + 4.0) { (outcome.as_str()) }
                    @for (place, stack) in stacks(verdicts, outcome) {
                        @for (at, row) in (0_u32..).zip(&stack) { (mark(row, across(place), y - up(at, stack.len()))) }
                    }
                }
            }
            figcaption { span { (&exact(first)[..16]) } span { (&exact(last)[..16]) " UTC" } }
        }
    }
}

fn across(place: u8) -> f64 {
    LEFT + MARK * (f64::from(place) + 1.0)
}

/// How far up a mark stands in its stack; a high stack is drawn closer.
fn up(at: u32, of: usize) -> f64 {
    let gaps = u32::try_from(of).unwrap_or(u32::MAX).saturating_sub(1).max(1);
    f64::from(at) * (STACK / f64::from(gaps)).min(MARK)
}

/// A circle, a diamond or a cross, so that colour is not the only sign.
fn mark(row: &VerificationResult, x: f64, y: f64) -> Markup {
    let title = format!("{} by {} at {}", row.outcome, row.verifier, exact(row.verified_at));
    html! {
        @match row.outcome {
            Outcome::Passed => { circle.passed cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="4" { title { (title) } } }
            Outcome::Inconclusive => {
                path.inconclusive d=(format!("M{x:.1} {:.1}l5 5l-5 5l-5 -5z", y - 5.0)) { title { (title) } }
            }
            Outcome::Failed => {
                path.failed d=(format!("M{:.1} {:.1}l8 8m0 -8l-8 8", x - 4.0, y - 4.0)) { title { (title) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use guildhall_core::{ArtifactId, EventId, Json, Position};

    use super::*;

    fn passed(second: i64) -> VerificationResult {
        VerificationResult {
            id: EventId::new(),
            artifact_id: ArtifactId::new(),
            target: None,
            verifier: "v".to_owned(),
            outcome: Outcome::Passed,
            evidence: Json::null(),
            verified_at: Timestamp::from_micros(second * 1_000_000).unwrap(),
            position: Position::ZERO,
        }
    }

    #[test]
    fn no_mark_hides_another() {
        let rows: Vec<_> = [90, 50, 50, 50, 50, 0].map(passed).into();
        let page = chart(&rows).into_string();
        let marks: std::collections::BTreeSet<_> = page
            .match_indices("<circle")
            .map(|(at, _)| page[at..].split(" r=").next().unwrap())
            .collect();
        assert_eq!(marks.len(), rows.len(), "{page}");
    }

    #[test]
    fn one_moment_is_one_stack() {
        let rows: Vec<_> = [7, 7].map(passed).into();
        assert_eq!(stacks(&rows, Outcome::Passed)[&0].len(), 2);
    }
}
