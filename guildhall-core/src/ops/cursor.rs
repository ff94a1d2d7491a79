//! Where pages end: the keys that their rows are ordered by, as texts that are handed back.

use serde::{Deserialize, Serialize};

use super::query::DeploymentSort;
use crate::ids::{AccordId, ArtifactId, Position, Revision, Seq};
use crate::time::Timestamp;

/// Where a page ended: hand it back to get the next one. Its text is the key of the
/// page's last row; it stays right while rows come and go (keyset paging). One that is
/// [turned round](Self::turned) gets the page before the row of its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// What a cursor to the rows before begins with, which no key does.
const TURNED: char = '<';

impl Cursor {
    /// The cursor that carries these values, the last row's sort key.
    pub fn from_key<K: Serialize>(key: &K) -> Self {
        // Keys are tuples of texts and numbers.
        Self(serde_json::to_string(key).unwrap_or_default())
    }

    /// The values; nothing where the text is not one of this query's cursors, or holds U+0000, which
    /// no row does.
    pub fn to_key<'c, K: Deserialize<'c>>(&'c self) -> Option<K> {
        // JSON writes it in this way alone; an escaped backslash may stand before the same letters.
        let has_nul = self.0.replace(r"\\", "").contains(r"\u0000");
        let key = self.0.strip_prefix(TURNED).unwrap_or(&self.0);
        if has_nul { None } else { serde_json::from_str(key).ok() }
    }

    /// The other way: to the rows before the one of its key, instead of those after it.
    #[must_use]
    pub fn turned(self) -> Self {
        match self.0.strip_prefix(TURNED) {
            Some(key) => Self(key.to_owned()),
            None => Self(format!("{TURNED}{}", self.0)),
        }
    }

    /// Whether it leads to the rows before the one of its key.
    pub fn is_turned(&self) -> bool {
        self.0.starts_with(TURNED)
    }

    /// Where a page of quarantined entries ended whose last is at `position`: those before it
    /// follow. Every store's cursors there are positions.
    pub fn before(position: Position) -> Self {
        Self::from_key(&(position,))
    }

    /// Where a page of a chain ended whose last link is `seq`: the links beyond it follow. Every
    /// store's cursors there are these.
    pub fn after_link(seq: Seq) -> Self {
        Self::from_key(&(seq,))
    }

    /// The cursor that a page of this text named.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What accords are ordered by: the time where they are ordered by it, name and id.
pub type AccordKey = (Option<Timestamp>, String, AccordId);

/// What ceremonies and verifications are ordered by: when it happened, and the entry that says so.
pub type MomentKey = (Timestamp, Position);

/// What deployments are ordered by: the order, the time where they are ordered by it, artifact and target.
pub type DeploymentKey = (DeploymentSort, Option<Timestamp>, ArtifactId, String);

/// What targets are ordered by: artifact and target.
pub type TargetKey = (ArtifactId, String);

/// What the contents of an artifact are ordered by.
pub type RevisionKey = (Revision,);

/// What the links of a chain are ordered by.
pub type SeqKey = (Seq,);

/// What quarantined entries are ordered by, and the openings of one ceremony.
pub type PositionKey = (Position,);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_holds_nul_is_none() {
        for (text, is_key) in
            [("a\0", false), ("\\\0", false), (r"a\u0000", true), (r"\\u0000", true)]
        {
            let cursor = Cursor::from_key(&(text, 1));
            let key = cursor.to_key::<(String, u32)>();
            assert_eq!(key, is_key.then(|| (text.to_owned(), 1)), "{text:?}");
        }
    }
}
