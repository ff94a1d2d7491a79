//! What stands in the place of the proof in a program that is built without it.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use guildhall::console::Console;
use guildhall_core::{CustodyPolicy, OpsDb, Seals};

/// No arguments.
#[derive(Debug, Args)]
pub(super) struct Proof {}

pub(super) struct Known;

impl Proof {
    pub(super) fn load(&self) -> Result<Known> {
        Ok(Known)
    }

    pub(super) fn start(
        &self,
        _: Known,
        _: Arc<dyn Seals>,
        _: Arc<dyn OpsDb>,
        _: CustodyPolicy,
    ) -> Proven {
        Proven
    }
}

pub(super) struct Proven;

impl Proven {
    pub(super) fn given_to(&self, console: Console) -> Console {
        console
    }
}
