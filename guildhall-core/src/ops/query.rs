//! Questions to the Ops DB.

use std::borrow::Cow;

use serde::Serialize;

use super::cursor::Cursor;
#[cfg(doc)]
use super::page::MAX_PAGE_ROWS;
use super::{Drift, Health};
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

words!(
    /// What deployments are ordered by. Ties are broken by artifact, then by target.
    DeploymentSort, "deployment sort" {
        /// By the artifact's id.
        Artifact = "artifact",
        /// By target.
        Target = "target",
        /// By when the health last changed, the earliest first.
        HealthSince = "health_since",
    }
);

words!(
    /// What accords are ordered by. Ties are broken by name, then by id.
    AccordSort, "accord sort" {
        /// By name.
        Name = "name",
        /// By when their terms came into force, the earliest first.
        EffectiveAt = "effective_at",
    }
);

/// What is [counted](super::OpsDb::count). Of a query, neither the order nor the page matters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one lives as long as its question")]
pub enum Counted {
    /// Artifacts.
    Artifacts(ArtifactQuery),
    /// Accords.
    Accords(AccordQuery),
    /// Deployments.
    Deployments(DeploymentQuery),
    /// Verifications.
    Verifications(VerificationQuery),
    /// Ceremonies that are open.
    OpenCeremonies,
    /// Ceremonies that have closed.
    ClosedCeremonies,
    /// Entries in quarantine.
    Quarantined,
}

/// What comes after every text that begins with this one, in the order of bytes: where a search in an index ends.
pub fn beyond_beginning(text: &str) -> String {
    format!("{text}{}", char::MAX)
}

/// How many rows there are, as far as they were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Total {
    /// The rows that were counted.
    pub rows: u64,
    /// Whether there are more.
    pub has_more: bool,
}

impl Total {
    /// What counting up to one row beyond `bound` came to.
    pub fn of(counted: u64, bound: u32) -> Self {
        let bound = u64::from(bound);
        Self { rows: counted.min(bound), has_more: counted > bound }
    }
}

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
/// The alternatives that a row can hold: those without U+0000. Nothing where none of them is one.
fn without_nul(texts: &[String]) -> Option<Cow<'_, [String]>> {
    let holds_nul = |text: &String| text.contains('\0');
    if !texts.iter().any(holds_nul) {
        return Some(Cow::Borrowed(texts));
    }
    let left: Vec<_> = texts.iter().filter(|text| !holds_nul(text)).cloned().collect();
    (!left.is_empty()).then_some(Cow::Owned(left))
}

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

/// Which accords. An empty filter lets all through.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccordQuery {
    /// Of these names, whole and as they are written. Several accords may bear one name, which then
    /// finds them all.
    pub names: Vec<String>,
    /// Whose name begins with one of these texts, as they are written.
    pub name_begins: Vec<String>,
    /// The order.
    pub sort: AccordSort,
    /// Whether the order is turned round.
    pub is_descending: bool,
    /// Where the page before ended. A cursor of another order starts anew.
    pub after: Option<Cursor>,
    /// How many rows, at most [`MAX_PAGE_ROWS`].
    pub limit: u32,
}

crate::setters!(AccordQuery {
    names: impl Into<Vec<String>>,
    name_begins: impl Into<Vec<String>>,
    sort: AccordSort,
    is_descending: bool,
    after: impl Into<Option<Cursor>>,
    limit: u32,
});

impl AccordQuery {
    /// Its words wherever it is asked without Rust: a field's name in the singular, without `is_` or
    /// `_id`. The console takes them as parameters, `guildhall` as flags.
    pub const WORDS: [&'static str; 6] =
        ["name", "name_begins", "sort", "descending", "after", "limit"];

    /// The query as every store can ask it, as [`ArtifactQuery::without_nul`] has it.
    pub fn without_nul(&self) -> Option<Cow<'_, Self>> {
        Some(match (without_nul(&self.names)?, without_nul(&self.name_begins)?) {
            (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(self),
            (names, begins) => Cow::Owned(Self {
                names: names.into_owned(),
                name_begins: begins.into_owned(),
                ..self.clone()
            }),
        })
    }
}

impl Default for AccordQuery {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            name_begins: Vec::new(),
            sort: AccordSort::Name,
            is_descending: false,
            after: None,
            limit: 100,
        }
    }
}

/// Which deployments. An empty filter lets all through.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeploymentQuery {
    /// Of this artifact.
    pub artifact_id: Option<ArtifactId>,
    /// On these targets.
    pub targets: Vec<String>,
    /// On targets that begin with this text.
    pub target_begins: Option<String>,
    /// With these healths.
    pub healths: Vec<Health>,
    /// The order.
    pub sort: DeploymentSort,
    /// Whether the order is turned round.
    pub is_descending: bool,
    /// Where the page before ended. A cursor of another order starts anew.
    pub after: Option<Cursor>,
    /// How many rows, at most [`MAX_PAGE_ROWS`].
    pub limit: u32,
}

crate::setters!(DeploymentQuery {
    artifact_id: impl Into<Option<ArtifactId>>,
    targets: impl Into<Vec<String>>,
    target_begins: impl Into<Option<String>>,
    healths: impl Into<Vec<Health>>,
    sort: DeploymentSort,
    is_descending: bool,
    after: impl Into<Option<Cursor>>,
    limit: u32,
});

impl DeploymentQuery {
    /// Its words wherever it is asked without Rust: a field's name in the singular, without `is_` or
    /// `_id`. The console takes them as parameters, `guildhall` as flags.
    pub const WORDS: [&'static str; 8] =
        ["artifact", "target", "target_begins", "health", "sort", "descending", "after", "limit"];

    /// The query as every store can ask it, as [`ArtifactQuery::without_nul`] has it.
    pub fn without_nul(&self) -> Option<Cow<'_, Self>> {
        if self.target_begins.as_ref().is_some_and(|text| text.contains('\0')) {
            return None;
        }
        Some(match without_nul(&self.targets)? {
            Cow::Borrowed(_) => Cow::Borrowed(self),
            Cow::Owned(targets) => Cow::Owned(Self { targets, ..self.clone() }),
        })
    }
}

impl Default for DeploymentQuery {
    fn default() -> Self {
        Self {
            artifact_id: None,
            targets: Vec::new(),
            target_begins: None,
            healths: Vec::new(),
            sort: DeploymentSort::Artifact,
            is_descending: false,
            after: None,
            limit: 100,
        }
    }
}

/// Which verifications. An empty filter lets all through.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerificationQuery {
    /// Of this artifact.
    pub artifact_id: Option<ArtifactId>,
    /// On these targets.
    pub targets: Vec<String>,
    /// By these verifiers.
    pub verifiers: Vec<String>,
    /// With these outcomes.
    pub outcomes: Vec<Outcome>,
    /// Judged at this time or later.
    pub verified_since: Option<Timestamp>,
    /// Judged before this time.
    pub verified_before: Option<Timestamp>,
    /// Only those that stand. A verdict stands until the same verifier judges the same target again
    /// or, where it names none, the artifact: it is the latest of them by `verified_at`, then position.
    pub is_standing: bool,
    /// Whether the order is turned round: the earliest first.
    pub is_ascending: bool,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// How many rows, at most [`MAX_PAGE_ROWS`].
    pub limit: u32,
}

crate::setters!(VerificationQuery {
    artifact_id: impl Into<Option<ArtifactId>>,
    targets: impl Into<Vec<String>>,
    verifiers: impl Into<Vec<String>>,
    outcomes: impl Into<Vec<Outcome>>,
    verified_since: impl Into<Option<Timestamp>>,
    verified_before: impl Into<Option<Timestamp>>,
    is_standing: bool,
    is_ascending: bool,
    after: impl Into<Option<Cursor>>,
    limit: u32,
});
impl VerificationQuery {
    /// Its words wherever it is asked without Rust: a field's name in the singular, without `is_` or
    /// `_id`. The console takes them as parameters, `guildhall` as flags.
    pub const WORDS: [&'static str; 10] = [
        "artifact",
        "target",
        "verifier",
        "outcome",
        "verified_since",
        "verified_before",
        "standing",
        "ascending",
        "after",
        "limit",
    ];

    /// The query as every store can ask it, as [`ArtifactQuery::without_nul`] has it.
    pub fn without_nul(&self) -> Option<Cow<'_, Self>> {
        let (targets, verifiers) = (without_nul(&self.targets)?, without_nul(&self.verifiers)?);
        Some(match (targets, verifiers) {
            (Cow::Borrowed(_), Cow::Borrowed(_)) => Cow::Borrowed(self),
            (targets, verifiers) => Cow::Owned(Self {
                targets: targets.into_owned(),
                verifiers: verifiers.into_owned(),
                ..self.clone()
            }),
        })
    }
}

impl Default for VerificationQuery {
    fn default() -> Self {
        Self {
            artifact_id: None,
            targets: Vec::new(),
            verifiers: Vec::new(),
            outcomes: Vec::new(),
            verified_since: None,
            verified_before: None,
            is_standing: false,
            is_ascending: false,
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
