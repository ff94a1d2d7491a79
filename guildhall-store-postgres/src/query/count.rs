//! Counting what matches, up to a bound.

use guildhall_core::{Counted, CustodyState};

use super::select::Select;
use super::{PostgresOpsDb, artifacts, filter_accords, posture};

/// Where a statement begins that counts rows, up to a bound.
macro_rules! counting {
    ($table:literal) => {
        concat!("SELECT pg_catalog.count(*) FROM (SELECT 1 FROM {schema}.", $table)
    };
}

/// The statement that counts; nothing where no row can match.
pub(super) fn select<'d>(ops_db: &'d PostgresOpsDb, counted: &Counted) -> Option<Select<'d>> {
    Some(match counted {
        Counted::Artifacts(query) => {
            let query = query.without_nul()?;
            artifacts::filter(ops_db.select(artifacts::COUNT), &query)
        }
        Counted::Accords(query) => {
            let query = query.without_nul()?;
            let mut select = ops_db.select(counting!("accord_bindings"));
            filter_accords(&mut select, &query);
            select
        }
        Counted::Deployments(query) => {
            let query = query.without_nul()?;
            let mut select = ops_db.select(counting!("deployment_states"));
            posture::filter_deployments(&mut select, &query);
            select
        }
        Counted::Verifications(query) => {
            let query = query.without_nul()?;
            let mut select = ops_db.select(counting!("verification_results AS verdict"));
            posture::filter_verifications(&mut select, &query);
            select
        }
        Counted::OpenCeremonies => {
            let mut select = ops_db.select(counting!("governed_artifacts"));
            select.and("coalesce(custody_state, '') = 'ceremony_open'");
            select.left_or_in_state("id", &[CustodyState::CeremonyOpen]);
            select
        }
        Counted::ClosedCeremonies => {
            let mut select = ops_db.select(counting!("custody_transitions"));
            select.and("from_state = 'ceremony_open'");
            select
        }
        Counted::Quarantined => ops_db.select(counting!("quarantined_entries")),
    })
}
