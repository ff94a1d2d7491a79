//! The numbered steps that make a store's tables, by the family of tables that they belong to.

use std::fmt;

/// Which tables: those of one family can be in a database without the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// The Chronicle's.
    Chronicle,
    /// The Ops DB's.
    Ops,
}

impl Family {
    /// The name in `guildhall_migrations`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chronicle => "chronicle",
            Self::Ops => "ops",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// One step of a family's tables.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Ascending; from 9 on the same step has the same number on every store.
    pub number: u32,
    /// What it does, in the words of its file's name.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}
