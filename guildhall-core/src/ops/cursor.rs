//! Where pages end: the keys that their rows are ordered by, as texts that are handed back.

use serde::{Deserialize, Serialize};

use super::query::{ArtifactQuery, ArtifactSort, ArtifactSummary};
use crate::custody::CustodyState;
use crate::ids::{AccordId, ArtifactId, Position, Seq};
use crate::time::Timestamp;

/// Where a page ended: hand it back to get the next one. Its text is the key of the
/// page's last row; it stays right while rows come and go (keyset paging).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

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
        if has_nul { None } else { serde_json::from_str(&self.0).ok() }
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

/// What accords are ordered by.
pub type AccordKey = (String, AccordId);

/// What ceremonies and verifications are ordered by: when it happened, and the entry that says so.
pub type MomentKey = (Timestamp, Position);

/// What deployments are ordered by: artifact and target.
pub type TargetKey = (ArtifactId, String);

/// What the links of a chain are ordered by.
pub type SeqKey = (Seq,);

/// What quarantined entries are ordered by, and the openings of one ceremony.
pub type PositionKey = (Position,);

/// What artifacts are ordered by, with the order that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ArtifactKey {
    /// The order.
    pub sort: ArtifactSort,
    /// Whether it is turned round.
    pub is_descending: bool,
    /// What the order goes by beside name and id.
    pub value: SortValue,
    /// The artifact's name.
    pub name: String,
    /// The artifact.
    pub id: ArtifactId,
}

/// What an order of artifacts goes by beside name and id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortValue {
    /// A tier or a position.
    Number(i64),
    /// A type, or a custody state; empty where there is none.
    Text(String),
    /// Nothing: the order is by name.
    None,
}

impl ArtifactKey {
    /// The key of a row in the order of this query.
    pub fn of(row: &ArtifactSummary, query: &ArtifactQuery) -> Self {
        let value = match query.sort {
            ArtifactSort::Name => SortValue::None,
            ArtifactSort::ArtifactType => SortValue::Text(row.artifact_type.clone()),
            ArtifactSort::Tier => SortValue::Number(row.tier.get().into()),
            ArtifactSort::CustodyState => {
                SortValue::Text(row.custody_state.map_or("", CustodyState::as_str).to_owned())
            }
            ArtifactSort::Position => SortValue::Number(row.position.as_i64()),
        };
        let (sort, is_descending) = (query.sort, query.is_descending);
        Self { sort, is_descending, value, name: row.name.clone(), id: row.id }
    }

    /// Whether it is a key of this query's order.
    pub fn fits(&self, query: &ArtifactQuery) -> bool {
        let has_value = match query.sort {
            ArtifactSort::Name => matches!(self.value, SortValue::None),
            ArtifactSort::Tier | ArtifactSort::Position => {
                matches!(self.value, SortValue::Number(_))
            }
            ArtifactSort::ArtifactType | ArtifactSort::CustodyState => {
                matches!(self.value, SortValue::Text(_))
            }
        };
        has_value && self.sort == query.sort && self.is_descending == query.is_descending
    }
}

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

    #[test]
    fn a_cursor_is_one_of_its_order_alone() {
        let key = |sort, is_descending, value| ArtifactKey {
            sort,
            is_descending,
            value,
            name: "zone".to_owned(),
            id: ArtifactId::new(),
        };
        let tier = key(ArtifactSort::Tier, false, SortValue::Number(0));
        let query = |sort, is_descending, after: &ArtifactKey| ArtifactQuery {
            sort,
            is_descending,
            after: Some(Cursor::from_key(after)),
            ..ArtifactQuery::default()
        };
        assert_eq!(query(ArtifactSort::Tier, false, &tier).key(), Some(tier.clone()));
        assert_eq!(query(ArtifactSort::Tier, true, &tier).key(), None);
        assert_eq!(query(ArtifactSort::Name, false, &tier).key(), None);
        let made_up = key(ArtifactSort::Tier, false, SortValue::Text("0".to_owned()));
        assert_eq!(query(ArtifactSort::Tier, false, &made_up).key(), None);
        for text in ["", "nonsense", "[]", "null", "[0,\"zone\"]"] {
            let after = Some(Cursor::from_text(text));
            assert_eq!(ArtifactQuery { after, ..ArtifactQuery::default() }.key(), None, "{text}");
        }
    }
}
