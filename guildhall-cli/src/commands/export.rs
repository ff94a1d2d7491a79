use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::Context;
use crate::error::{Problem, Verdict};
use crate::output::print_document;
use crate::steps;
use crate::target::Target;

/// Write the Chronicle as JSONL, one CloudEvent a line
///
/// A file is written whole or not at all, readable for its owner alone. `guildhall import` makes the
/// same entries of it again.
#[derive(Debug, Args)]
pub struct Export {
    /// The file; - for standard output
    #[arg(value_name = "FILE|-", default_value = "-")]
    file: PathBuf,
}

#[derive(serde::Serialize)]
struct Exported {
    entries: u64,
}

impl Export {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let target = Target::named(&self.file)?;
        let is_json = context.global.json;
        if target.is_stdout() && is_json {
            let what = "--json and an export both need standard output";
            return Err(Problem::usage(what, "leave out --json, or name a file").into());
        }
        // The lines on standard output are what is wanted.
        let progress = context.progress("exporting", None);
        let exported = context
            .reading(async |database| steps::export(&*database.chronicle, &target, progress).await);
        let exported = Exported { entries: exported.await? };
        if is_json {
            print_document(true, &exported, |_| String::new())?;
        }
        Ok(Verdict::Holds)
    }
}
