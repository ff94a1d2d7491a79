//! The name of a schema, and what is derived from it.

use std::str::FromStr;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::error::OpenError;

/// The name of a schema, checked, and quoted for SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema {
    name: Arc<str>,
    quoted: Arc<str>,
}

impl Schema {
    /// How long a name may be, so that what is derived from it stays within PostgreSQL's 63 bytes.
    const MAX_BYTES: usize = 48;

    /// As it is written in the catalogue.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A statement, with the quoted name in the place of each `{schema}`, and the name as a text in
    /// that of each `{schema_literal}`.
    pub(crate) fn sql(&self, template: &str) -> SqlStr {
        let literal = format!("'{}'", self.name.replace('\'', "''"));
        let parts =
            template.split("{schema_literal}").map(|it| it.replace("{schema}", &self.quoted));
        AssertSqlSafe(parts.collect::<Vec<_>>().join(&literal)).into_sql_str()
    }

    /// The channel that announces commits of the schema's Chronicle.
    pub(crate) fn channel(&self) -> String {
        format!("guildhall:{}", self.name)
    }

    /// The channel that announces commits of the schema's projectors.
    pub(crate) fn ops_channel(&self) -> String {
        format!("guildhall_ops:{}", self.name)
    }
}

impl FromStr for Schema {
    type Err = OpenError;

    fn from_str(name: &str) -> Result<Self, OpenError> {
        // A `$` could end the quoting of a function's body; `pg_` is PostgreSQL's own.
        let is_good = (1..=Self::MAX_BYTES).contains(&name.len())
            && !name.chars().any(|character| character.is_control() || character == '$')
            && !name.starts_with("pg_");
        if is_good {
            let quoted = format!("\"{}\"", name.replace('"', "\"\""));
            Ok(Self { name: name.into(), quoted: quoted.into() })
        } else {
            Err(OpenError::BadSchema { found: name.chars().take(64).collect() })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_schema_is_quoted_wherever_it_stands() {
        let schema: Schema = r#"Odd "one"; DROP"#.parse().unwrap();
        let sql = schema.sql("SELECT 1 FROM {schema}.a, {schema}.b");
        assert_eq!(sql.as_str(), r#"SELECT 1 FROM "Odd ""one""; DROP".a, "Odd ""one""; DROP".b"#);
    }

    #[test]
    fn what_cannot_name_a_schema_is_refused() {
        for name in ["", "pg_toast", "a$b", "a\0b", "a\nb", &"x".repeat(49)] {
            assert!(name.parse::<Schema>().is_err(), "{name:?}");
        }
        for name in ["guildhall", "{schema}", "Überseebrücke", &"x".repeat(48)] {
            assert!(name.parse::<Schema>().is_ok(), "{name:?}");
        }
    }
}
