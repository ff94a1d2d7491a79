//! The guide says for each thing that can be done to a database which command finds it and what it
//! prints. Each row is held by a test, which takes the command and the print from there.

use std::collections::BTreeSet;

use crate::databases::Audited;

const GUIDE: &str = include_str!("../../../docs/audit.md");

/// The tests of the other files, by the row that each holds.
const HELD: [&[&str]; 4] =
    [crate::tables::HELD, crate::log::HELD, crate::seals::HELD, crate::evidence::HELD];

/// A row of the guide's table.
#[derive(Debug)]
pub(crate) struct Row {
    done: &'static str,
    arguments: Vec<&'static str>,
    /// What is printed, cut where the guide has `…`.
    prints: Vec<&'static str>,
}

fn rows() -> impl Iterator<Item = Row> {
    let begins = "| what was done | found by | which prints |\n| --- | --- | --- |\n";
    let (_, table) = GUIDE.split_once(begins).unwrap();
    let lines = table.lines().take_while(|line| line.starts_with("| "));
    lines.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [done, command, prints] = cells[..] else { panic!("{line}") };
        let command = command.trim_matches('`').strip_prefix("guildhall ").unwrap();
        Row {
            done,
            arguments: command.split(' ').collect(),
            prints: prints.trim_matches('`').split('…').map(str::trim).collect(),
        }
    })
}

impl Row {
    /// The row of what was done.
    pub(crate) fn of(done: &str) -> Self {
        rows().find(|row| row.done == done).unwrap_or_else(|| panic!("the guide has no {done:?}"))
    }

    /// Runs the command, which finds that something does not hold, and prints what the guide says.
    /// Answers what it printed.
    pub(crate) fn is_found_in(&self, audited: &Audited) -> String {
        let printed = audited.ends_with(1, &self.arguments);
        for part in &self.prints {
            assert!(printed.contains(part), "{part:?} is not in:\n{printed}");
        }
        printed
    }
}

#[test]
fn every_row_of_the_guide_is_held_by_a_test_and_every_test_has_a_row() {
    let rows: BTreeSet<_> = rows().map(|row| row.done).collect();
    let held: BTreeSet<_> = HELD.iter().flat_map(|held| held.iter().copied()).collect();
    assert_eq!(rows, held);
}
