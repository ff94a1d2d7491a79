//! Which moment a question is about (DESIGN section 10).

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::error::StoreError;
use crate::ids::Position;
use crate::time::{Timestamp, TimestampError};

/// The moment that a question is about, on one of two axes.
///
/// ```
/// use guildhall_core::{AsOf, Position};
///
/// assert_eq!("1042".parse(), Ok(AsOf::Position(Position::new(1042))));
/// let noon: AsOf = "2026-11-03T13:00:00+01:00".parse()?;
/// assert_eq!(noon.to_string(), "2026-11-03T12:00:00.000000Z");
/// # Ok::<(), guildhall_core::AsOfTextError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AsOf {
    /// What was known once the entry at this position was applied.
    Position(Position),
    /// What was the case then, by all that is known now: each row by the time of what it tells.
    Time(Timestamp),
}

impl AsOf {
    /// The column of a table by which a row was there at the moment: it is not beyond it. None where
    /// every row is: accords and quarantined entries have no time of an event, and an artifact was
    /// there at a position that its first content was.
    fn column(self, table: &str) -> Option<&'static str> {
        match (self, table) {
            (Self::Position(_), "governed_artifacts") => None,
            (Self::Position(_), _) => Some("position"),
            (Self::Time(_), "governed_artifacts") => Some("registered_at"),
            (Self::Time(_), "artifact_revisions") => Some("recorded_at"),
            (Self::Time(_), "custody_transitions") => Some("occurred_at"),
            (Self::Time(_), "deployment_changes") => Some("observed_at"),
            (Self::Time(_), "verification_results") => Some("verified_at"),
            (Self::Time(_), _) => None,
        }
    }

    /// A statement in which `{shown table}` became the condition that a row of the table was there at the
    /// moment, and `{after table}` the condition that it came later; `{shown alias: table}` where the table
    /// has an alias. `parameter` is what binds the moment. Whatever else stands in braces stays.
    ///
    /// ```
    /// use guildhall_core::{AsOf, Position};
    ///
    /// let sql = "SELECT count(*) FROM deployment_changes AS seen WHERE {after seen: deployment_changes}";
    /// let since = AsOf::Position(Position::new(7)).expand(sql, "?1");
    /// assert!(since.ends_with("WHERE seen.position > ?1"));
    /// ```
    pub fn expand(self, sql: &str, parameter: &str) -> String {
        let mut expanded = String::with_capacity(sql.len());
        let mut rest = sql;
        while let Some((before, part)) = rest.split_once('{') {
            expanded.push_str(before);
            let (inside, after) = part.split_once('}').unwrap_or((part, ""));
            rest = after;
            let (is_shown, what) = match inside.split_once(' ') {
                Some(("shown", what)) => (true, what),
                Some(("after", what)) => (false, what),
                _ => {
                    expanded.extend(["{", inside, "}"]);
                    continue;
                }
            };
            let (alias, table) = match what.split_once(": ") {
                Some((alias, table)) => ([alias, "."], table),
                None => (["", ""], what),
            };
            match self.column(table) {
                Some(column) => {
                    expanded.extend(alias);
                    expanded.extend([column, if is_shown { " <= " } else { " > " }, parameter]);
                }
                None => expanded.push_str(if is_shown { "true" } else { "false" }),
            }
        }
        expanded + rest
    }

    /// Whether a row was there at the moment that an entry of this position wrote, and that tells of
    /// this time.
    pub fn shows(self, position: Position, at: Timestamp) -> bool {
        match self {
            Self::Position(moment) => position <= moment,
            Self::Time(moment) => at <= moment,
        }
    }

    /// Whether tables that stand at `stands`, with their history from `history_from` on
    /// ([`Position::ZERO`]: all of it), can say how it was.
    ///
    /// # Errors
    /// [`AsOfError::NotYet`] or [`AsOfError::Before`].
    pub fn check(self, stands: Position, history_from: Position) -> Result<(), AsOfError> {
        match self {
            Self::Position(asked) if asked > stands => Err(AsOfError::NotYet { asked, stands }),
            Self::Position(asked) if asked >= history_from => Ok(()),
            Self::Time(_) if history_from == Position::ZERO => Ok(()),
            Self::Position(_) | Self::Time(_) => {
                Err(AsOfError::Before { asked: self, history_from })
            }
        }
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => position.fmt(formatter),
            Self::Time(at) => at.fmt(formatter),
        }
    }
}

impl Serialize for AsOf {
    /// A number, or a text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Position(position) => position.serialize(serializer),
            Self::Time(at) => at.serialize(serializer),
        }
    }
}

/// A text is neither a position nor a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is neither a position nor an RFC 3339 time")]
pub struct AsOfTextError {
    /// The text, cut to 64 characters.
    pub found: String,
    #[source]
    source: TimestampError,
}

impl FromStr for AsOf {
    type Err = AsOfTextError;

    fn from_str(text: &str) -> Result<Self, AsOfTextError> {
        if let Ok(position) = text.parse() {
            return Ok(Self::Position(position));
        }
        text.parse()
            .map(Self::Time)
            .map_err(|source| AsOfTextError { found: text.chars().take(64).collect(), source })
    }
}

/// The Ops DB cannot say how it was at that moment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AsOfError {
    /// The entry is not applied yet, or the log has none there: wait for it.
    #[error("the Ops DB stands at position {stands}, before {asked}")]
    NotYet {
        /// The position that was asked for.
        asked: Position,
        /// Where the Ops DB stands.
        stands: Position,
    },
    /// The tables are from before there was any history: a rebuild brings it in. Until then they know
    /// no time, and no position before this one.
    #[error(
        "{asked} is not known: the Ops DB has history from position {history_from} on; rebuild it"
    )]
    Before {
        /// The moment that was asked for.
        asked: AsOf,
        /// From where on it has its history.
        history_from: Position,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn a_moment_is_a_position_or_a_time_and_its_text_is_read_back() {
        for text in ["0", "7", "9007199254740991", "2026-11-23T10:05:00.000000Z"] {
            assert_eq!(text.parse::<AsOf>().unwrap().to_string(), text);
        }
        for text in ["", "-1", "9007199254740992", "2026-11-23", "yesterday"] {
            assert!(text.parse::<AsOf>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_stands_in_braces_becomes_a_condition_of_the_moment_or_stays() {
        let sql = "{shown accord_bindings} {after governed_artifacts} {shown it: artifact_revisions} {its.*} {";
        let expanded = |moment: AsOf| moment.expand(sql, "$1");
        assert_eq!(
            expanded(AsOf::Position(Position::new(7))),
            "position <= $1 false it.position <= $1 {its.*} {}"
        );
        assert_eq!(
            expanded(AsOf::Time(Timestamp::MIN)),
            "true registered_at > $1 it.recorded_at <= $1 {its.*} {}"
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let [begins, stands] = [40, 50].map(Position::new);
        let at = |position| AsOf::Position(Position::new(position));
        let time = AsOf::Time(Timestamp::MAX);
        for (moment, history_from, is_known) in [
            (at(0), Position::ZERO, true),
            (at(50), Position::ZERO, true),
            (at(51), Position::ZERO, false),
            (time, Position::ZERO, true),
            (at(39), begins, false),
            (at(40), begins, true),
            (at(51), begins, false),
            (time, begins, false),
        ] {
            let found = moment.check(stands, history_from);
            assert_eq!(found.is_ok(), is_known, "{moment} {history_from}");
            match found {
                Err(AsOfError::NotYet { asked, .. }) => assert!(asked > stands),
                Err(AsOfError::Before { asked, .. }) => assert_eq!(asked, moment),
                _ => assert!(is_known),
            }
        }
    }
}
