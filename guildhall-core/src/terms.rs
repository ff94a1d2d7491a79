//! Terms as clocks: what an accord asks to happen in time, and whether it did.
//!
//! Of an accord's terms, these are understood, and everything else is ignored; so is a value of another form:
//!
//! | key | or | value | what it asks |
//! | --- | --- | --- | --- |
//! | `verify_every_days` | `verification.every_days` | days | that what is deployed is verified again before so many days are over |
//! | `mend_within_hours` | `drift.mend_within_hours` | hours, or an object of hours by tier (`{"0": 2, "1": 12}`) | that a drift has ended before so many hours are over |
//! | `review_within_hours` | | hours | that a ceremony is decided before so many hours are over |
//!
//! A number may have a fraction, and is greater than zero. No clock runs before the accord is in force. Nobody is told to do anything by this, and nothing happens where a
//! clock runs out: it is shown.

use serde::Serialize;
use serde_json::Value;

use crate::custody::CustodyState;
use crate::event::Tier;
use crate::json::Json;
use crate::time::Timestamp;
use crate::words::words;

words!(
    /// What a clock runs for.
    Duty, "duty" {
        /// That what is deployed is verified again.
        Verify = "verify",
        /// That a drift ends.
        Mend = "mend",
        /// That a ceremony is decided.
        Review = "review",
    }
);

/// How long the terms of an accord give for each duty, in microseconds; none where they say nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowances {
    /// From one verification to the next.
    pub verify: Option<i64>,
    /// From the drift of a target to its end.
    pub mend: Option<i64>,
    /// From the opening of a ceremony to its decision.
    pub review: Option<i64>,
}

/// What is known of an artifact that clocks run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// From when the terms hold.
    pub effective_at: Timestamp,
    /// Where it stands.
    pub custody_state: Option<CustodyState>,
    /// When it was last verified; none where it never was, which is taken for the moment from which the terms hold.
    pub verified_at: Option<Timestamp>,
    /// Since when it is drifted; none where it is not.
    pub drifted_since: Option<Timestamp>,
    /// When the ceremony opened that is open; none where none is.
    pub opened_at: Option<Timestamp>,
}

/// A clock that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// What for.
    pub duty: Duty,
    /// Since when.
    pub since: Timestamp,
    /// When it runs out.
    pub due_at: Timestamp,
    /// Whether it has.
    pub is_overdue: bool,
}

impl Allowances {
    /// What these terms give an artifact of this tier.
    pub fn of(terms: &Json, tier: Tier) -> Self {
        const HOUR: f64 = 3_600_000_000.0;
        let terms = terms.to_value();
        let find = |key: &str, group: &str, member: &str| {
            terms.get(key).or_else(|| terms.get(group)?.get(member)).cloned()
        };
        let mend = find("mend_within_hours", "drift", "mend_within_hours");
        let mend = mend.map(|hours| match hours {
            Value::Object(mut by_tier) => {
                by_tier.remove(&tier.get().to_string()).unwrap_or(Value::Null)
            }
            hours => hours,
        });
        let verify = find("verify_every_days", "verification", "every_days");
        Self {
            verify: verify.and_then(|days| micros(&days, 24.0 * HOUR)),
            mend: mend.and_then(|hours| micros(&hours, HOUR)),
            review: terms.get("review_within_hours").and_then(|hours| micros(hours, HOUR)),
        }
    }

    /// Whether no clock runs under them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The clocks that run for an artifact, the one that runs out first first.
    pub fn clocks(&self, facts: &Facts, now: Timestamp) -> Vec<Clock> {
        let deployed = facts.custody_state == Some(CustodyState::Deployed);
        let is_over = facts.custody_state == Some(CustodyState::Retired);
        let running = [
            (
                Duty::Verify,
                self.verify,
                deployed.then_some(facts.verified_at.unwrap_or(Timestamp::MIN)),
            ),
            (Duty::Mend, self.mend, facts.drifted_since.filter(|_| !is_over)),
            (Duty::Review, self.review, facts.opened_at),
        ];
        let clock = |(duty, allowed, since): (Duty, Option<i64>, Option<Timestamp>)| {
            let (allowed, since) = (allowed?, since?.max(facts.effective_at));
            let due_at = Timestamp::from_micros(since.as_micros().saturating_add(allowed));
            let due_at = due_at.unwrap_or(Timestamp::MAX);
            Some(Clock { duty, since, due_at, is_overdue: due_at < now })
        };
        let mut clocks: Vec<_> = running.into_iter().filter_map(clock).collect();
        clocks.sort_by_key(|clock| clock.due_at);
        clocks
    }

    /// Before which moment a clock of this duty has to have begun to be overdue now; none where none is, since
    /// no clock runs or the terms are not in force for so long.
    pub fn overdue_before(
        &self,
        duty: Duty,
        effective_at: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let allowed = match duty {
            Duty::Verify => self.verify,
            Duty::Mend => self.mend,
            Duty::Review => self.review,
        }?;
        let before = now.as_micros().saturating_sub(allowed);
        let before = Timestamp::from_micros(before).unwrap_or(Timestamp::MIN);
        (effective_at < before).then_some(before)
    }
}

/// So many of a unit; nothing where it is not a number above zero.
fn micros(value: &Value, unit: f64) -> Option<i64> {
    /// About ten thousand years, which is more than there are.
    const MOST: f64 = 3.2e17;
    let micros = (value.as_f64()? * unit).round();
    #[expect(clippy::cast_possible_truncation, reason = "it is between the bounds")]
    (1.0..=MOST).contains(&micros).then_some(micros as i64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_micros(hours * HOUR).unwrap()
    }

    fn allowed(terms: &str, tier: Tier) -> [Option<i64>; 3] {
        let found = Allowances::of(&Json::parse(terms).unwrap(), tier);
        [found.verify, found.mend, found.review].map(|micros| micros.map(|it| it / HOUR))
    }

    #[test]
    fn terms_give_time_in_either_form_and_by_tier() {
        let [zero, one, ..] = Tier::ALL;
        let flat = r#"{"verify_every_days":7,"mend_within_hours":4,"review_within_hours":48}"#;
        assert_eq!(allowed(flat, zero), [Some(168), Some(4), Some(48)]);
        let grouped =
            r#"{"verification":{"every_days":7},"drift":{"mend_within_hours":{"0":2,"1":12}}}"#;
        assert_eq!(allowed(grouped, zero), [Some(168), Some(2), None]);
        assert_eq!(allowed(grouped, one), [Some(168), Some(12), None]);
        assert_eq!(allowed(grouped, Tier::ALL[2]), [Some(168), None, None]);
        // What stands in its own place goes before what stands in a group.
        let both = r#"{"verify_every_days":1,"verification":{"every_days":7}}"#;
        assert_eq!(allowed(both, zero), [Some(24), None, None]);
    }

    #[test]
    fn what_is_of_another_form_is_ignored() {
        for value in ["0", "-1", "null", "\"7\"", "[7]", "{}", "true", "1e300"] {
            let terms = format!(
                r#"{{"verify_every_days":{value},"mend_within_hours":{value},"review_within_hours":{value}}}"#
            );
            assert_eq!(allowed(&terms, Tier::ZERO), [None; 3], "{value}");
        }
        assert_eq!(allowed(r#"{"verify_every_days":0.5,"other":1}"#, Tier::ZERO)[0], Some(12));
        let odd = r#"{"verification":3,"drift":[1],"break_glass":{"review_within_hours":1}}"#;
        assert_eq!(allowed(odd, Tier::ZERO), [None; 3]);
    }

    #[test]
    fn a_clock_runs_from_what_began_it_and_is_overdue_once_its_time_is_over() {
        let terms = r#"{"verify_every_days":1,"mend_within_hours":4,"review_within_hours":48}"#;
        let allowed = Allowances::of(&Json::parse(terms).unwrap(), Tier::ZERO);
        let facts = Facts {
            effective_at: at(0),
            custody_state: Some(CustodyState::Deployed),
            verified_at: None,
            drifted_since: Some(at(22)),
            opened_at: None,
        };
        let told = |now| -> Vec<_> {
            let clocks = allowed.clocks(&facts, now);
            clocks.iter().map(|it| (it.duty, it.due_at, it.is_overdue)).collect()
        };
        assert_eq!(
            told(at(24)),
            [(Duty::Verify, at(24), false), (Duty::Mend, at(26), false)],
            "what is due now is not overdue"
        );
        assert_eq!(told(at(25))[0], (Duty::Verify, at(24), true));
        // Terms that are not in force yet ask nothing.
        let later = Facts { effective_at: at(1000), ..facts };
        assert!(allowed.clocks(&later, at(900)).iter().all(|it| !it.is_overdue));
        // What is not deployed is not verified, what is retired not mended, and what waits is reviewed.
        let of = |custody_state, opened_at| {
            let facts = Facts { custody_state: Some(custody_state), opened_at, ..facts };
            let clocks = allowed.clocks(&facts, at(0));
            clocks.iter().map(|it| it.duty).collect::<Vec<_>>()
        };
        assert_eq!(of(CustodyState::Suspended, None), [Duty::Mend]);
        assert_eq!(of(CustodyState::Retired, None), []);
        assert_eq!(of(CustodyState::CeremonyOpen, Some(at(1))), [Duty::Mend, Duty::Review]);
        for duty in Duty::ALL {
            let before = allowed.overdue_before(*duty, Timestamp::MIN, at(100)).unwrap();
            let begun = |since| Facts {
                effective_at: Timestamp::MIN,
                custody_state: Some(CustodyState::Deployed),
                verified_at: Some(since),
                drifted_since: Some(since),
                opened_at: Some(since),
            };
            let is_overdue = |since| {
                let clocks = allowed.clocks(&begun(since), at(100));
                clocks.iter().find(|it| it.duty == *duty).unwrap().is_overdue
            };
            let earlier = Timestamp::from_micros(before.as_micros() - 1).unwrap();
            assert_eq!((is_overdue(earlier), is_overdue(before)), (true, false), "{duty}");
        }
    }
}
