//! The keys of pages of artifacts, which can be listed in several orders.

use serde::{Deserialize, Serialize};

use super::Drift;
use super::answer::ArtifactSummary;
use super::artifact_query::{ArtifactQuery, ArtifactSort};
use super::cursor::Cursor;
use super::page::Paging;
use crate::custody::CustodyState;
use crate::ids::ArtifactId;

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
    /// A tier, a position, or how bad a drift is.
    Number(i64),
    /// A type, a CID, or a custody state; empty where there is none.
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
            ArtifactSort::Cid => SortValue::Text(row.cid.to_string()),
            ArtifactSort::Drift => SortValue::Number(row.drift.rank()),
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
            ArtifactSort::ArtifactType | ArtifactSort::CustodyState | ArtifactSort::Cid => {
                matches!(self.value, SortValue::Text(_))
            }
            ArtifactSort::Drift => self.drift().is_some(),
        };
        has_value && self.sort == query.sort && self.is_descending == query.is_descending
    }

    /// The drift that an order by drift goes by.
    fn drift(&self) -> Option<Drift> {
        let SortValue::Number(rank) = self.value else { return None };
        Drift::WORST_FIRST.into_iter().find(|drift| drift.rank() == rank)
    }
}

impl ArtifactQuery {
    /// What the last row of the page before was ordered by; nothing where there was no page before,
    /// or its cursor is not one of this order.
    pub fn key(&self) -> Option<ArtifactKey> {
        self.paging().key
    }

    /// Which page it asks for.
    pub fn paging(&self) -> Paging<ArtifactKey> {
        Paging::if_any(self.after.as_ref(), self.limit, |key: &ArtifactKey| key.fits(self))
    }

    /// The questions whose rows, one after the other, are those that the page asks for, each in an order
    /// that has an index. An order by drift, which no row of an artifact holds, is four: one for each
    /// drift, by name.
    pub fn parts(&self) -> Vec<Self> {
        if self.sort != ArtifactSort::Drift {
            return vec![self.clone()];
        }
        let Paging { key, is_turned, .. } = self.paging();
        let is_descending = self.is_descending != is_turned;
        let mut drifts = Drift::WORST_FIRST.to_vec();
        if is_descending {
            drifts.reverse();
        }
        let from = key.and_then(|key| Some((key.drift()?, key)));
        if let Some((drift, _)) = &from {
            drifts = drifts.into_iter().skip_while(|it| it != drift).collect();
        }
        drifts.retain(|drift| self.drifts.is_empty() || self.drifts.contains(drift));
        let part = |drift: Drift| {
            let by_name = |key: &ArtifactKey| {
                let (sort, value) = (ArtifactSort::Name, SortValue::None);
                Cursor::from_key(&ArtifactKey { sort, is_descending, value, ..key.clone() })
            };
            let begun = from.as_ref().filter(|(begun, _)| *begun == drift);
            Self { is_descending, ..self.clone() }
                .drifts([drift])
                .sort(ArtifactSort::Name)
                .after(begun.map(|(_, key)| by_name(key)))
        };
        drifts.into_iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
