//! How many rows there are of each kind: counted, all of them, each time that it is asked.

use std::collections::BTreeMap;

use guildhall_core::{Health, Position, Revision, RowCount};

use super::Reference;

/// By the word of what is counted: how many, and the last entry by which one came or went.
#[derive(Default)]
struct Counts(BTreeMap<String, (i64, Position)>);

impl Counts {
    fn add(&mut self, word: impl Into<String>, rows: i64, position: Position) {
        let (count, last) = self.0.entry(word.into()).or_default();
        *count += rows;
        *last = position.max(*last);
    }
}

impl Reference {
    /// The rows of `row_counts`.
    pub(super) fn row_counts(&self) -> Vec<RowCount> {
        let mut counts = Counts::default();
        for row in self.accords.values() {
            counts.add("accords", 1, row.position);
        }
        for row in self.artifacts.values() {
            let registered = &self.revisions[&(row.id, Revision::FIRST)];
            counts.add(format!("artifacts_of_tier_{}", row.tier.get()), 1, registered.position);
        }
        for row in self.transitions.values() {
            counts.add("custody_transitions", 1, row.position);
            let was_open = row.from_state.is_some_and(|state| state.as_str() == "ceremony_open");
            let is_open = row.to_state.as_str() == "ceremony_open";
            if was_open {
                counts.add("closed_ceremonies", 1, row.position);
            }
            if was_open != is_open {
                counts.add("open_ceremonies", 0, row.position);
            }
        }
        for row in self.artifacts.values() {
            if row.custody_state.is_some_and(|state| state.as_str() == "ceremony_open") {
                counts.add("open_ceremonies", 1, Position::ZERO);
            }
        }
        let of_health = |health: Health| format!("{health}_deployments");
        for row in self.deployments.values() {
            counts.add(of_health(row.health), 1, Position::ZERO);
        }
        for row in &self.deployment_changes {
            if row.previous_health != Some(row.health) {
                counts.add(of_health(row.health), 0, row.position);
                if let Some(left) = row.previous_health {
                    counts.add(of_health(left), 0, row.position);
                }
            }
        }
        for row in self.verifications.values() {
            counts.add("verifications", 1, row.position);
        }
        for position in self.quarantined.keys() {
            counts.add("quarantined", 1, *position);
        }
        let row = |(word, (rows, position)): (String, _)| RowCount {
            counted: word.parse().unwrap(),
            rows,
            position,
        };
        counts.0.into_iter().map(row).collect()
    }
}
