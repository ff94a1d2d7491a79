//! What can be wrong with a schema.

use std::fmt;

/// How a schema differs from what the migrations made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaFault {
    /// Somebody dropped it: recreate it as the migrations do.
    Missing {
        /// `table`, `view`, `column`, `constraint`, `index`, `trigger` or `function`.
        kind: String,
        /// Its name.
        name: String,
        /// The table that it belongs to; its own name where it is one, empty for a function.
        table: String,
    },
    /// Somebody changed it, or disabled it.
    Altered {
        /// As above.
        kind: String,
        /// Its name.
        name: String,
        /// The table that it belongs to.
        table: String,
        /// How it is.
        found: String,
        /// How the migrations made it.
        expected: String,
    },
    /// A trigger on a table of the log or a rule on any of ours is not Guildhall's: drop it.
    Foreign {
        /// `trigger` or `rule`.
        kind: String,
        /// Its name.
        name: String,
        /// The table.
        table: String,
    },
    /// The role that opens the store lacks a right: grant it, as `roles.sql` does.
    Right {
        /// The right.
        right: String,
        /// The table.
        table: String,
    },
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |table: &str| match table {
            "" => String::new(),
            table => format!(" of {table}"),
        };
        match self {
            Self::Missing { kind, name, .. } if matches!(kind.as_str(), "table" | "view") => {
                write!(formatter, "{kind} {name} is missing")
            }
            Self::Missing { kind, name, table } => {
                write!(formatter, "{kind} {name}{} is missing", of(table))
            }
            Self::Altered { kind, name, table, found, expected } => {
                let is_whole = matches!(kind.as_str(), "table" | "view");
                let of = if is_whole { String::new() } else { of(table) };
                write!(formatter, "{kind} {name}{of} is {found}, not {expected}")
            }
            Self::Foreign { kind, name, table } => {
                write!(formatter, "{kind} {name} on {table} is not Guildhall's")
            }
            Self::Right { right, table } => {
                write!(formatter, "the role has no right to {right} on {table}")
            }
        }
    }
}
