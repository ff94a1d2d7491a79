use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use super::Context;
use crate::error::Verdict;
use crate::target::print;

/// Print the completion script for a shell
///
/// For bash: guildhall completions bash > ~/.local/share/bash-completion/completions/guildhall
#[derive(Debug, Args)]
pub struct Completions {
    /// For this shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, context: &Context) -> Result<Verdict> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut (context.program)(), "guildhall", &mut script);
        print(&String::from_utf8(script)?)?;
        Ok(Verdict::Holds)
    }
}
