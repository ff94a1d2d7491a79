//! What proves the log: its seals, who cosigned them, and evidence to take away (DESIGN section 9).

mod artifact;
mod download;
mod page;
mod seals;

use std::sync::Arc;

use guildhall_core::Seals;
use guildhall_projector::proof::AuditorStatus;
use guildhall_proof::verify::Known;
use tokio::sync::{Mutex, watch};

pub(crate) use artifact::{of_artifact, of_entry};
pub(crate) use download::{entry, evidence};
pub(crate) use page::page;
pub(crate) use seals::seals;

use crate::error::RequestError;

/// What a console knows of it.
#[derive(Default)]
pub(crate) struct Proof {
    /// The Chronicle with its seals.
    pub(crate) log: Option<Arc<dyn Seals>>,
    pub(crate) known: Known,
    pub(crate) auditor: Option<watch::Receiver<AuditorStatus>>,
    /// Held while something is proved, which takes memory and a processor: one at a time.
    turn: Mutex<()>,
}

impl Proof {
    fn log(&self) -> Result<Arc<dyn Seals>, RequestError> {
        self.log.clone().ok_or(RequestError::Without("the seals of its log"))
    }
}
