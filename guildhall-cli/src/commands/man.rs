use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use super::Context;
use crate::error::Verdict;

/// Write the manual pages into a folder, one for each command: man -l FOLDER/guildhall.1
#[derive(Debug, Args)]
pub struct Man {
    /// The folder, which has to exist
    folder: PathBuf,
}

impl Man {
    pub(crate) fn run(self, context: &Context) -> Result<Verdict> {
        let writing = || format!("writing the manual pages into {}", self.folder.display());
        clap_mangen::generate_to((context.program)(), &self.folder).with_context(writing)?;
        Ok(Verdict::Holds)
    }
}
