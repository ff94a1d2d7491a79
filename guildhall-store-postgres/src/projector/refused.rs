//! What it means when PostgreSQL refuses rows.

use guildhall_core::{ApplyError, Disagreement, Position, StoreError};

use crate::changes::TABLES;
use crate::error::{fault, has_sqlstate};

/// Why rows were not written to tables that stand at `checkpoint`.
pub(super) fn of_write(error: sqlx::Error, checkpoint: Position) -> ApplyError {
    match &error {
        sqlx::Error::Database(found)
            if found.constraint().is_some_and(constrains_rows)
                && ["23503", "23505"].iter().any(|it| has_sqlstate(&error, it)) =>
        {
            let names = [found.table(), found.constraint()];
            let constraint = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
            let found = if has_sqlstate(&error, "23505") {
                Disagreement::RowExists { constraint }
            } else {
                Disagreement::RowMissing { constraint }
            };
            ApplyError::Disagrees { checkpoint, found }
        }
        // Only artifacts are changed that were there.
        sqlx::Error::RowNotFound => {
            let constraint = "governed_artifacts".to_owned();
            ApplyError::Disagrees { checkpoint, found: Disagreement::RowMissing { constraint } }
        }
        _ => {
            let fault = fault(&error);
            StoreError { doing: "projecting", fault, source: error.into() }.into()
        }
    }
}

/// Whether the key, or the foreign key, is one that the migrations make. Others are an embedder's own.
fn constrains_rows(name: &str) -> bool {
    const FOREIGN_KEYS: [&str; 6] = [
        "governed_artifacts_accord",
        "artifact_revisions_artifact",
        "custody_transitions_artifact",
        "deployment_states_artifact",
        "deployment_changes_artifact",
        "verification_results_artifact",
    ];
    FOREIGN_KEYS.contains(&name)
        || TABLES.iter().any(|table| {
            let Some(rest) = name.strip_prefix(table) else { return false };
            // Of a part, it has the name that a rebuild gave it, or that PostgreSQL gave it.
            let is_part = |it: &str| it.bytes().all(|it| it.is_ascii_digit() || it == b'_');
            rest.strip_prefix("_key")
                .is_some_and(|part| is_part(part) || part == "_earlier" || part == "_later")
                || rest.strip_suffix("_pkey").is_some_and(is_part)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_embedder_is_none_of_ours() {
        for name in [
            "accord_bindings_key",
            "custody_transitions_key_7",
            "verification_results_key_2026_11",
            "verification_results_key_earlier",
            "verification_results_2026_11_pkey",
            "verification_results_artifact",
        ] {
            assert!(constrains_rows(name), "{name}");
        }
        for name in ["governed_artifacts_by_my_name", "accord_bindings_key_of_mine", "my_key", ""] {
            assert!(!constrains_rows(name), "{name}");
        }
    }
}
