//! Questions to the Ops DB about artifacts.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::health::Drift;
#[cfg(doc)]
use super::page::MAX_PAGE_ROWS;
#[cfg(doc)]
use super::query::VerificationQuery;
use super::query::without_nul;
use crate::cid::Cid;
use crate::custody::CustodyState;
use crate::event::{Outcome, Tier};
use crate::ids::{AccordId, ArtifactId};
use crate::json::Json;
use crate::time::Timestamp;
use crate::words::words;

words!(
    /// What artifacts are ordered by. Ties are broken by name, then by id.
    ArtifactSort, "artifact sort" {
        /// By name.
        Name = "name",
        /// By type.
        ArtifactType = "artifact_type",
        /// By tier, the most critical first.
        Tier = "tier",
        /// By custody state, in alphabetical order; none first.
        CustodyState = "custody_state",
        /// By the entry that last wrote the artifact.
        Position = "position",
        /// By the CID of the current content, as a text.
        Cid = "cid",
        /// By drift, the worst first ([`Drift::WORST_FIRST`]).
        Drift = "drift",
    }
);

/// Which artifacts, in which order. An empty filter lets all through; several values of one filter
/// are alternatives; several filters must all hold.
///
/// ```
/// use guildhall_core::{ArtifactQuery, Drift, Tier};
///
/// let query = ArtifactQuery::default()
///     .tiers([Tier::ZERO, Tier::ONE])
///     .drifts([Drift::Drifted, Drift::Unknown]);
/// assert_eq!(query.tiers, Tier::ALL[..2]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArtifactQuery {
    /// Of these types.
    pub artifact_types: Vec<String>,
    /// Of these tiers.
    pub tiers: Vec<Tier>,
    /// In these custody states.
    pub custody_states: Vec<CustodyState>,
    /// With these drifts.
    pub drifts: Vec<Drift>,
    /// Under these accords.
    pub accords: Vec<AccordId>,
    /// With these ids.
    pub ids: Vec<ArtifactId>,
    /// Of these names, whole and as they are written. Several artifacts may bear one name, which
    /// then finds them all.
    pub names: Vec<String>,
    /// Whose current content has one of these CIDs.
    pub cids: Vec<Cid>,
    /// Whose name begins with one of these texts, as they are written.
    pub name_begins: Vec<String>,
    /// Whose current content has a CID that begins with this text.
    pub cid_begins: Option<String>,
    /// Whose name contains this text, ASCII letters compared without case; `%` and `_` are
    /// themselves.
    pub name_contains: Option<String>,
    /// Whose content contains this fragment ([`Json::contains`]).
    pub content_contains: Option<Json>,
    /// Whose accord's terms contain this fragment.
    pub terms_contain: Option<Json>,
    /// Whose latest verification was judged before this, or that were never judged.
    pub verified_before: Option<Timestamp>,
    /// On which a verdict of one of these outcomes [stands](VerificationQuery::is_standing).
    pub verdicts: Vec<Outcome>,
    /// The order.
    pub sort: ArtifactSort,
    /// Whether the order is turned round.
    pub is_descending: bool,
    /// Where the page before ended. A cursor of another order starts anew ([`key`](Self::key)).
    pub after: Option<Cursor>,
    /// How many rows, at most [`MAX_PAGE_ROWS`].
    pub limit: u32,
}

impl ArtifactQuery {
    /// Its words wherever it is asked without Rust: a field's name in the singular, without `is_` or
    /// `_id`. The console takes them as parameters, `guildhall` as flags.
    pub const WORDS: [&'static str; 19] = [
        "artifact_type",
        "tier",
        "custody_state",
        "drift",
        "accord",
        "id",
        "name",
        "cid",
        "name_begins",
        "cid_begins",
        "name_contains",
        "content_contains",
        "terms_contain",
        "verified_before",
        "verdict",
        "sort",
        "descending",
        "after",
        "limit",
    ];

    /// The query as every store can ask it: without the texts that hold U+0000, which no row does.
    /// Nothing where that leaves nothing that could match.
    pub fn without_nul(&self) -> Option<Cow<'_, Self>> {
        let has_nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        if has_nul(&self.name_contains) || has_nul(&self.cid_begins) {
            return None;
        }
        let (types, names) = (without_nul(&self.artifact_types)?, without_nul(&self.names)?);
        let begins = without_nul(&self.name_begins)?;
        Some(match (types, names, begins) {
            (Cow::Borrowed(_), Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(self),
            (types, names, begins) => Cow::Owned(Self {
                artifact_types: types.into_owned(),
                names: names.into_owned(),
                name_begins: begins.into_owned(),
                ..self.clone()
            }),
        })
    }
}

crate::setters!(ArtifactQuery {
    artifact_types: impl Into<Vec<String>>,
    tiers: impl Into<Vec<Tier>>,
    custody_states: impl Into<Vec<CustodyState>>,
    drifts: impl Into<Vec<Drift>>,
    accords: impl Into<Vec<AccordId>>,
    ids: impl Into<Vec<ArtifactId>>,
    names: impl Into<Vec<String>>,
    cids: impl Into<Vec<Cid>>,
    name_begins: impl Into<Vec<String>>,
    cid_begins: impl Into<Option<String>>,
    name_contains: impl Into<Option<String>>,
    content_contains: impl Into<Option<Json>>,
    terms_contain: impl Into<Option<Json>>,
    verified_before: impl Into<Option<Timestamp>>,
    verdicts: impl Into<Vec<Outcome>>,
    sort: ArtifactSort,
    is_descending: bool,
    after: impl Into<Option<Cursor>>,
    limit: u32,
});

impl Default for ArtifactQuery {
    fn default() -> Self {
        Self {
            artifact_types: Vec::new(),
            tiers: Vec::new(),
            custody_states: Vec::new(),
            drifts: Vec::new(),
            accords: Vec::new(),
            ids: Vec::new(),
            names: Vec::new(),
            cids: Vec::new(),
            name_begins: Vec::new(),
            cid_begins: None,
            name_contains: None,
            content_contains: None,
            terms_contain: None,
            verified_before: None,
            verdicts: Vec::new(),
            sort: ArtifactSort::Name,
            is_descending: false,
            after: None,
            limit: 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_asked_without_what_no_row_holds() {
        let of = |types: &[&str]| ArtifactQuery {
            artifact_types: types.iter().map(|&it| it.to_owned()).collect(),
            ..ArtifactQuery::default()
        };
        for (types, asked) in [
            (&[][..], Some(&[][..])),
            (&["a"], Some(&["a"])),
            (&["\0", "a", "b\0"], Some(&["a"])),
            (&["\0"], None),
        ] {
            let asked = asked.map(of);
            assert_eq!(of(types).without_nul().as_deref(), asked.as_ref(), "{types:?}");
        }
        let named = ArtifactQuery { name_contains: Some("a\0".to_owned()), ..of(&["a"]) };
        assert_eq!(named.without_nul(), None);
        // Where one filter can hold for no row, the query can for none.
        let one_of_each = |names: &[&str]| ArtifactQuery {
            names: names.iter().map(|&it| it.to_owned()).collect(),
            ..of(&["a"])
        };
        assert_eq!(one_of_each(&["\0"]).without_nul(), None);
        assert_eq!(one_of_each(&["b", "\0"]).without_nul().as_deref(), Some(&one_of_each(&["b"])));
    }
}
