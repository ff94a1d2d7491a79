//! What the console shows of the proof of its log.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use guildhall::console::Console;
use guildhall_core::{CustodyPolicy, OpsDb, Seals};
use guildhall_projector::proof::{Auditor, AuditorSettings};
use guildhall_proof::verify::Known;

use crate::trust::Trust;

/// By what seals are judged, and how often the log is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Proof")]
pub(super) struct Proof {
    #[command(flatten)]
    trust: Trust,

    /// Verify the log and audit the tables at once, and again so many seconds after each time, and show
    /// what was found; it reads the whole log twice, and every table once
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    audit_every: Option<u64>,
}

impl Proof {
    /// Reads the files, and the keys of the arguments.
    ///
    /// # Errors
    /// As of [`Trust::load`].
    pub(super) fn load(&self) -> Result<Known> {
        self.trust.load()
    }

    /// What a console is given; what audits, if anything does, ends when it is dropped.
    pub(super) fn start(
        &self,
        known: Known,
        log: Arc<dyn Seals>,
        ops_db: Arc<dyn OpsDb>,
        policy: CustodyPolicy,
    ) -> Proven {
        let auditor = self.audit_every.map(|seconds| {
            let settings = AuditorSettings::default().every(Duration::from_secs(seconds));
            Auditor::start(Arc::clone(&log), ops_db, policy, known.clone(), settings)
        });
        Proven { log, known, auditor }
    }
}

/// A log, and what is known and found of it.
pub(super) struct Proven {
    log: Arc<dyn Seals>,
    known: Known,
    auditor: Option<Auditor>,
}

impl Proven {
    pub(super) fn given_to(&self, console: Console) -> Console {
        let console = console.seals(Arc::clone(&self.log)).known(self.known.clone());
        match &self.auditor {
            Some(auditor) => console.auditor(auditor),
            None => console,
        }
    }
}
