//! Pages: some rows of a list, and where it goes on in both directions.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cursor::{AccordKey, Cursor, DeploymentKey};
use super::query::{AccordQuery, AccordSort, DeploymentQuery, DeploymentSort};
use super::{AccordBinding, DeploymentState};

/// How many rows a page holds at most.
pub const MAX_PAGE_ROWS: u32 = 500;

/// Some rows, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The rows, in the query's order.
    pub rows: Vec<T>,
    /// Where the next page starts; none where this is the last.
    pub next: Option<Cursor>,
    /// What leads to the page before, handed back in the same place; none where this is the first,
    /// or no row is left to say where it begins.
    pub previous: Option<Cursor>,
}

impl<T> Page<T> {
    /// No row, and none to come.
    pub const EMPTY: Self = Self { rows: Vec::new(), next: None, previous: None };
}

/// The limit that holds: at least 1, at most [`MAX_PAGE_ROWS`].
pub fn page_limit(wanted: u32) -> u32 {
    wanted.clamp(1, MAX_PAGE_ROWS)
}

/// Which rows of a list a page has: what stores ask their tables for, and what they make a page of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging<K> {
    /// The key that the page begins after; none where it begins with the first row.
    pub key: Option<K>,
    /// Whether the rows are wanted the other way round: those before the key, the nearest first.
    pub is_turned: bool,
    limit: u32,
}

impl<K> Paging<K> {
    /// How many rows to ask for: one more than the page holds, which says whether there are more.
    pub fn wanted(&self) -> u32 {
        self.limit + 1
    }
}

impl<K: Serialize + DeserializeOwned> Paging<K> {
    /// The page after this cursor. One that is not a cursor of this list begins anew.
    pub fn of(after: Option<&Cursor>, limit: u32) -> Self {
        Self::if_any(after, limit, |_| true)
    }

    /// The same, where only keys that fit are those of the list.
    pub(super) fn if_any(
        after: Option<&Cursor>,
        limit: u32,
        fits: impl FnOnce(&K) -> bool,
    ) -> Self {
        let key = after.and_then(Cursor::to_key::<K>).filter(fits);
        let is_turned = key.is_some() && after.is_some_and(Cursor::is_turned);
        Self { key, is_turned, limit: page_limit(limit) }
    }

    /// The page of the rows that were asked for. `key` is a row's.
    pub fn page<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        if self.is_turned {
            rows.reverse();
        }
        // Behind where one comes from there is at least the row that one came from.
        let (has_next, has_previous) =
            if self.is_turned { (true, has_more) } else { (has_more, self.key.is_some()) };
        let cursor = |row: &T| Cursor::from_key(&key(row));
        let next = rows.last().filter(|_| has_next).map(cursor);
        let previous = rows.first().filter(|_| has_previous).map(cursor).map(Cursor::turned);
        Page { rows, next, previous }
    }
}

impl AccordQuery {
    /// Which page it asks for.
    pub fn paging(&self) -> Paging<AccordKey> {
        let is_by_time = self.sort == AccordSort::EffectiveAt;
        Paging::if_any(self.after.as_ref(), self.limit, |(at, ..): &AccordKey| {
            at.is_some() == is_by_time
        })
    }

    /// The key of a row in its order.
    pub fn key_of(&self, row: &AccordBinding) -> AccordKey {
        let at = (self.sort == AccordSort::EffectiveAt).then_some(row.effective_at);
        (at, row.name.clone(), row.id)
    }
}

impl DeploymentQuery {
    /// Which page it asks for.
    pub fn paging(&self) -> Paging<DeploymentKey> {
        let is_by_time = self.sort == DeploymentSort::HealthSince;
        Paging::if_any(self.after.as_ref(), self.limit, |(sort, at, ..): &DeploymentKey| {
            *sort == self.sort && at.is_some() == is_by_time
        })
    }

    /// The key of a row in its order.
    pub fn key_of(&self, row: &DeploymentState) -> DeploymentKey {
        let at = (self.sort == DeploymentSort::HealthSince).then_some(row.health_since);
        (self.sort, at, row.artifact_id, row.target.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The page of the numbers below 10 that a cursor leads to, as a store would find it.
    fn numbers(after: Option<&Cursor>) -> Page<u32> {
        let paging = Paging::<(u32,)>::of(after, 4);
        let wanted = usize::try_from(paging.wanted()).unwrap();
        let rows: Vec<u32> = match (paging.key, paging.is_turned) {
            (None, _) => (0..10).take(wanted).collect(),
            (Some((key,)), false) => (key + 1..10).take(wanted).collect(),
            (Some((key,)), true) => (0..key).rev().take(wanted).collect(),
        };
        paging.page(rows, |number| (*number,))
    }

    #[test]
    fn pages_lead_on_and_back() {
        let first = numbers(None);
        assert_eq!((first.rows.as_slice(), &first.previous), (&[0, 1, 2, 3][..], &None));
        let second = numbers(first.next.as_ref());
        assert_eq!(second.rows, [4, 5, 6, 7]);
        let last = numbers(second.next.as_ref());
        assert_eq!((last.rows.as_slice(), &last.next), (&[8, 9][..], &None));
        let back = numbers(last.previous.as_ref());
        assert_eq!(back.rows, second.rows);
        assert_eq!(numbers(back.next.as_ref()), last);
        let back = numbers(back.previous.as_ref());
        assert_eq!((back.rows.as_slice(), &back.previous), (&[0, 1, 2, 3][..], &None));
        assert_eq!(numbers(back.next.as_ref()), second);
    }

    #[test]
    fn what_is_no_cursor_of_the_list_begins_it() {
        for text in ["", "<", "<<[3]", "nonsense", "<nonsense", "[]", "<[\"a\"]"] {
            assert_eq!(numbers(Some(&Cursor::from_text(text))), numbers(None), "{text}");
        }
    }
}
