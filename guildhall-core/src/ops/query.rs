//! Questions to the Ops DB about accords, deployments and verifications, and how many rows there are.

use std::borrow::Cow;

use serde::Serialize;

use super::artifact_query::ArtifactQuery;
use super::cursor::Cursor;
use super::health::Health;
#[cfg(doc)]
use super::page::MAX_PAGE_ROWS;
use crate::event::Outcome;
use crate::ids::ArtifactId;
use crate::time::Timestamp;
use crate::words::words;

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

/// The alternatives that a row can hold: those without U+0000. Nothing where none of them is one.
pub(super) fn without_nul(texts: &[String]) -> Option<Cow<'_, [String]>> {
    let holds_nul = |text: &String| text.contains('\0');
    if !texts.iter().any(holds_nul) {
        return Some(Cow::Borrowed(texts));
    }
    let left: Vec<_> = texts.iter().filter(|text| !holds_nul(text)).cloned().collect();
    (!left.is_empty()).then_some(Cow::Owned(left))
}
