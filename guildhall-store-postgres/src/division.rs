//! Which tables have partitions where there are any, and by what they are divided.

/// By which columns a table that has partitions is divided.
pub(crate) fn division(table: &str) -> Option<&'static str> {
    match table {
        "custody_transitions" => Some("PARTITION BY HASH (artifact_id)"),
        "deployment_changes" => Some("PARTITION BY RANGE (observed_at)"),
        "verification_results" => Some("PARTITION BY RANGE (verified_at)"),
        _ => None,
    }
}

/// The key that a table has with partitions and without, where those differ: the key of a divided
/// table holds the column that divides it.
pub(crate) fn key(table: &str, is_divided: bool) -> Option<&'static str> {
    match (table, is_divided) {
        ("verification_results", true) => Some("PRIMARY KEY (id, verified_at)"),
        ("verification_results", false) => Some("PRIMARY KEY (id)"),
        _ => None,
    }
}
