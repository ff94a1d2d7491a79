//! What is overdue by the terms of the accords, over all artifacts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answer::{ArtifactDetail, ArtifactSummary};
use super::artifact_query::{ArtifactQuery, ArtifactSort};
use super::cursor::Cursor;
use super::page::MAX_PAGE_ROWS;
use super::query::{AccordQuery, Counted, VerificationQuery};
use super::{AccordBinding, Drift, OpsDb};
use crate::custody::CustodyState;
use crate::error::StoreError;
use crate::event::Tier;
use crate::ids::ArtifactId;
use crate::terms::{Allowances, Clock, Duty, Facts};
use crate::time::Timestamp;

/// How many accords are looked at, the first by name, and how far artifacts of one are counted.
const MOST_ACCORDS: usize = 2000;
const COUNTED: u32 = 10_000;

/// What is overdue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Overdue {
    /// How many artifacts are not verified in time.
    pub verify: u64,
    /// How many are drifted for too long.
    pub mend: u64,
    /// How many ceremonies wait for too long.
    pub review: u64,
    /// Whether there may be more than were counted.
    pub has_more: bool,
    /// Some of them: of each duty and accord the most critical artifacts.
    pub rows: Vec<OverdueArtifact>,
}

/// An artifact for which a clock has run out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverdueArtifact {
    /// What for.
    pub duty: Duty,
    /// The artifact.
    pub artifact_id: ArtifactId,
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
    /// The accord whose terms ask it, by name.
    pub accord: String,
}

impl Overdue {
    /// How many clocks have run out.
    pub fn count(&self) -> u64 {
        self.verify + self.mend + self.review
    }

    /// What is overdue now, by the terms of every accord, with up to `listed` artifacts of each duty. It costs
    /// a few questions for each accord that has clocks; ask them at one moment ([`OpsDb::snapshot`]).
    ///
    /// # Errors
    /// The store's own.
    pub async fn load(ops_db: &dyn OpsDb, now: Timestamp, listed: u32) -> Result<Self, StoreError> {
        let mut found = Self::default();
        let mut query = AccordQuery::default().limit(MAX_PAGE_ROWS);
        let mut opened = None;
        let mut accords = 0;
        loop {
            let page = ops_db.accords(&query).await?;
            for accord in &page.rows {
                found.add(ops_db, accord, &mut opened, now).await?;
            }
            accords += page.rows.len();
            query.after = page.next;
            if query.after.is_none() || accords >= MOST_ACCORDS {
                break;
            }
        }
        found.has_more |= query.after.is_some();
        found.rows.sort_by_key(|row| (row.duty, row.tier));
        let (mut duty, mut listed_of_it) = (None, 0);
        found.rows.retain(|row| {
            if duty != Some(row.duty) {
                (duty, listed_of_it) = (Some(row.duty), 0);
            }
            listed_of_it += 1;
            listed_of_it <= listed
        });
        Ok(found)
    }

    async fn add(
        &mut self,
        ops_db: &dyn OpsDb,
        accord: &AccordBinding,
        opened: &mut Option<BTreeMap<ArtifactId, Timestamp>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let by_tier = Tier::ALL.map(|tier| Allowances::of(&accord.accord_terms, tier));
        let before = |duty, tier: Tier| {
            let allowed = &by_tier[usize::from(tier.get())];
            allowed.overdue_before(duty, accord.effective_at, now)
        };
        let of_accord = || {
            let query = ArtifactQuery::default().accords([accord.id]);
            query.sort(ArtifactSort::Tier).limit(MAX_PAGE_ROWS)
        };
        if let Some(before) = before(Duty::Verify, Tier::ZERO) {
            let query = of_accord().custody_states([CustodyState::Deployed]);
            let query = query.verified_before(before);
            let total = ops_db.count(&Counted::Artifacts(query.clone()), COUNTED).await?;
            self.verify += total.rows;
            self.has_more |= total.has_more;
            if total.rows > 0 {
                self.list(Duty::Verify, accord, ops_db.artifacts(&query).await?.rows);
            }
        }
        if Tier::ALL.into_iter().any(|tier| before(Duty::Mend, tier).is_some()) {
            let states = CustodyState::ALL.iter().copied();
            let states = states.filter(|state| *state != CustodyState::Retired);
            let query = of_accord().drifts([Drift::Drifted]);
            let page = ops_db.artifacts(&query.custody_states(states.collect::<Vec<_>>())).await?;
            self.has_more |= page.next.is_some();
            let is_late = |row: &ArtifactSummary| {
                let before = before(Duty::Mend, row.tier);
                row.drift_since.zip(before).is_some_and(|(since, before)| since < before)
            };
            let late: Vec<_> = page.rows.into_iter().filter(is_late).collect();
            self.mend += late.len() as u64;
            self.list(Duty::Mend, accord, late);
        }
        if let Some(before) = before(Duty::Review, Tier::ZERO) {
            if opened.is_none() {
                let (openings, is_cut) = open_ceremonies(ops_db).await?;
                self.has_more |= is_cut;
                *opened = Some(openings);
            }
            let query = of_accord().custody_states([CustodyState::CeremonyOpen]);
            let page = ops_db.artifacts(&query).await?;
            self.has_more |= page.next.is_some();
            let is_late = |row: &ArtifactSummary| {
                let at = opened.as_ref().and_then(|opened| opened.get(&row.id));
                at.is_some_and(|at| *at < before)
            };
            let late: Vec<_> = page.rows.into_iter().filter(is_late).collect();
            self.review += late.len() as u64;
            self.list(Duty::Review, accord, late);
        }
        Ok(())
    }

    fn list(&mut self, duty: Duty, accord: &AccordBinding, rows: Vec<ArtifactSummary>) {
        self.rows.extend(rows.into_iter().map(|row| OverdueArtifact {
            duty,
            artifact_id: row.id,
            name: row.name,
            tier: row.tier,
            accord: accord.name.clone(),
        }));
    }
}

/// When the ceremonies opened that are open, the first few thousand, and whether there are more.
async fn open_ceremonies(
    ops_db: &dyn OpsDb,
) -> Result<(BTreeMap<ArtifactId, Timestamp>, bool), StoreError> {
    let (mut opened, mut after) = (BTreeMap::new(), None::<Cursor>);
    for _ in 0..20 {
        let page = ops_db.open_ceremonies(after, MAX_PAGE_ROWS).await?;
        let openings = page.rows.iter().map(|row| (row.opened.artifact_id, row.opened.occurred_at));
        opened.extend(openings);
        after = page.next;
        if after.is_none() {
            return Ok((opened, false));
        }
    }
    Ok((opened, true))
}

impl ArtifactDetail {
    /// The clocks that run for it by the terms of its accord, the one that runs out first first; asked at the
    /// moment at which its row was read.
    ///
    /// # Errors
    /// The store's own.
    pub async fn clocks(
        &self,
        ops_db: &dyn OpsDb,
        now: Timestamp,
    ) -> Result<Vec<Clock>, StoreError> {
        let artifact = &self.artifact;
        let allowed = Allowances::of(&self.accord.accord_terms, artifact.tier);
        if allowed.is_empty() {
            return Ok(Vec::new());
        }
        let latest = VerificationQuery::default().artifact_id(artifact.id).limit(1);
        let latest = ops_db.verifications(&latest).await?.rows;
        let is_open = artifact.custody_state == Some(CustodyState::CeremonyOpen);
        let opened = match artifact.custody_seq.filter(|_| is_open) {
            Some(seq) => {
                let before = Some(Cursor::after_link(seq.previous()));
                ops_db.chain(artifact.id, before, 1).await?.rows
            }
            None => Vec::new(),
        };
        let facts = Facts {
            effective_at: self.accord.effective_at,
            custody_state: artifact.custody_state,
            verified_at: latest.first().map(|verdict| verdict.verified_at),
            drifted_since: self.drift_since.filter(|_| self.drift == Drift::Drifted),
            opened_at: opened.first().map(|link| link.occurred_at),
        };
        Ok(allowed.clocks(&facts, now))
    }
}
