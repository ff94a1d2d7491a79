//! Verifications over time, drawn: a row for each outcome, a mark for each verdict.

use guildhall_core::{Outcome, Timestamp, VerificationResult};
use maud::{Markup, html};

use crate::format::exact;

const WIDTH: f64 = 600.0;
const LEFT: f64 = 120.0;
const ROWS: [(Outcome, f64); 3] =
    [(Outcome::Passed, 14.0), (Outcome::Inconclusive, 38.0), (Outcome::Failed, 62.0)];

/// Where a moment lies between the first and the last.
#[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
fn across(at: Timestamp, first: Timestamp, last: Timestamp) -> f64 {
    let range = (last.as_micros() - first.as_micros()).max(1) as f64;
    let along = (at.as_micros() - first.as_micros()) as f64 / range;
    LEFT + 10.0 + along * (WIDTH - LEFT - 20.0)
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
            svg viewBox="0 0 600 76" role="img" aria-label=(told) {
                @for (outcome, y) in ROWS {
                    line x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                    text x="0" y=(y + 4.0) { (outcome.as_str()) }
                    @for row in verdicts.iter().filter(|row| row.outcome == outcome) {
                        (mark(row, across(row.verified_at, first, last), y))
                    }
                }
            }
            figcaption { span { (&exact(first)[..16]) } span { (&exact(last)[..16]) " UTC" } }
        }
    }
}

/// A circle, a diamond or a cross, so that colour is not the only sign.
fn mark(row: &VerificationResult, x: f64, y: f64) -> Markup {
    let title = format!("{} by {} at {}", row.outcome, row.verifier, exact(row.verified_at));
    html! {
        @match row.outcome {
            Outcome::Passed => { circle.passed cx=(format!("{x:.1}")) cy=(y) r="4" { title { (title) } } }
            Outcome::Inconclusive => {
                path.inconclusive d=(format!("M{x:.1} {}l5 5l-5 5l-5 -5z", y - 5.0)) { title { (title) } }
            }
            Outcome::Failed => {
                path.failed d=(format!("M{:.1} {}l8 8m0 -8l-8 8", x - 4.0, y - 4.0)) { title { (title) } }
            }
        }
    }
}
