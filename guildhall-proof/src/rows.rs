//! Rows of the Ops DB as JSON, by their columns: what evidence states and digests hash.

use std::collections::BTreeMap;
use std::fmt;

use guildhall_core::Json;
use guildhall_core::fold::Changes;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// One row: each column's name, and its value as canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Row(BTreeMap<String, Json>);

impl Row {
    /// The row that a struct of the Ops DB serialises as ([`AccordBinding`] and the others).
    ///
    /// # Errors
    /// It is not a JSON object.
    ///
    /// [`AccordBinding`]: guildhall_core::AccordBinding
    pub fn of(row: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&serde_json::to_string(row)?)
    }

    /// Its columns.
    pub const fn columns(&self) -> &BTreeMap<String, Json> {
        &self.0
    }

    /// Its canonical JSON (RFC 8785).
    pub fn to_text(&self) -> String {
        // Names and JSON serialise; names of columns are ASCII, and sorted.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;

        impl<'de> Visitor<'de> for Columns {
            type Value = Row;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a row: an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut columns = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Json>()? {
                    if let Some(_twice) = columns.insert(name, value) {
                        return Err(A::Error::custom("a column occurs twice in one row"));
                    }
                }
                Ok(Row(columns))
            }
        }

        deserializer.deserialize_map(Columns)
    }
}

/// Rows of the Ops DB, each table's in the order of its key. Every table is there, if only without
/// a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// `accord_bindings`.
    pub accord_bindings: Vec<Row>,
    /// `artifact_revisions`.
    pub artifact_revisions: Vec<Row>,
    /// `custody_transitions`.
    pub custody_transitions: Vec<Row>,
    /// `deployment_changes`.
    pub deployment_changes: Vec<Row>,
    /// `deployment_states`.
    pub deployment_states: Vec<Row>,
    /// `governed_artifacts`.
    pub governed_artifacts: Vec<Row>,
    /// `quarantined_entries`.
    pub quarantined_entries: Vec<Row>,
    /// `verification_results`.
    pub verification_results: Vec<Row>,
}

/// Where rows differ from those that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowDifference {
    /// A table has a different number of rows.
    #[error("{table} has {found} rows, expected {expected}")]
    Count {
        /// The table.
        table: &'static str,
        /// How many it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
    /// A column differs.
    #[error("{table}, row {row}: {column} is {found}, expected {expected}")]
    Column {
        /// The table.
        table: &'static str,
        /// The row, from 1, in the order of the key.
        row: usize,
        /// The column.
        column: String,
        /// What it is, cut to 128 characters; "nothing" where the row does not have it.
        found: String,
        /// What it should be, likewise.
        expected: String,
    },
}

impl Rows {
    /// The rows that a fold over empty tables changed.
    ///
    /// # Errors
    /// None known: the rows of the Ops DB are JSON objects.
    pub fn of(mut changes: Changes) -> Result<Self, serde_json::Error> {
        changes.accords.sort_by_key(|row| row.id);
        changes.revisions.sort_by_key(|row| (row.artifact_id, row.revision));
        changes.transitions.sort_by_key(|row| (row.artifact_id, row.seq));
        let target = |row: &guildhall_core::DeploymentState| (row.artifact_id, row.target.clone());
        changes.deployments.sort_by_cached_key(target);
        changes.deployment_changes.sort_by_cached_key(|row| {
            (row.artifact_id, row.target.clone(), row.observed_at, row.position)
        });
        changes.artifacts.sort_by_key(|row| row.id);
        changes.quarantined.sort_by_key(|row| row.position);
        changes.verifications.sort_by_key(|row| row.id);
        fn rows(of: &[impl Serialize]) -> Result<Vec<Row>, serde_json::Error> {
            of.iter().map(Row::of).collect()
        }
        Ok(Self {
            accord_bindings: rows(&changes.accords)?,
            artifact_revisions: rows(&changes.revisions)?,
            custody_transitions: rows(&changes.transitions)?,
            deployment_changes: rows(&changes.deployment_changes)?,
            deployment_states: rows(&changes.deployments)?,
            governed_artifacts: rows(&changes.artifacts)?,
            quarantined_entries: rows(&changes.quarantined)?,
            verification_results: rows(&changes.verifications)?,
        })
    }

    /// The tables by their names, those first that others refer to.
    pub fn tables(&self) -> [(&'static str, &[Row]); 8] {
        [
            ("accord_bindings", &self.accord_bindings),
            ("governed_artifacts", &self.governed_artifacts),
            ("artifact_revisions", &self.artifact_revisions),
            ("custody_transitions", &self.custody_transitions),
            ("deployment_states", &self.deployment_states),
            ("deployment_changes", &self.deployment_changes),
            ("verification_results", &self.verification_results),
            ("quarantined_entries", &self.quarantined_entries),
        ]
    }

    /// Compares with the rows that should be there. How a quarantined entry's `reason` is worded is
    /// not compared: another version may say it otherwise.
    ///
    /// # Errors
    /// [`RowDifference`], the first.
    pub fn compare(&self, expected: &Self) -> Result<(), RowDifference> {
        for ((table, found), (_, expected)) in self.tables().into_iter().zip(expected.tables()) {
            if found.len() != expected.len() {
                let (found, expected) = (found.len(), expected.len());
                return Err(RowDifference::Count { table, found, expected });
            }
            for (nth, (found, expected)) in found.iter().zip(expected).enumerate() {
                let names = found.0.keys().chain(expected.0.keys());
                let mut names =
                    names.filter(|name| *name != "reason" || table != "quarantined_entries");
                if let Some(column) = names.find(|name| found.0.get(*name) != expected.0.get(*name))
                {
                    let show = |row: &Row| {
                        let value = row.0.get(column).map_or("nothing", Json::as_str);
                        value.chars().take(128).collect()
                    };
                    return Err(RowDifference::Column {
                        table,
                        row: nth + 1,
                        column: column.clone(),
                        found: show(found),
                        expected: show(expected),
                    });
                }
            }
        }
        Ok(())
    }
}
