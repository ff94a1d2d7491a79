use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use guildhall_core::ArtifactId;
use guildhall_projector::proof;
use serde::Serialize;

use super::Context;
use crate::asking;
use crate::error::{Problem, Verdict};
use crate::output::print_document;
use crate::target::Target;

/// Write the evidence of an artifact: a file that proves its whole history offline
///
/// It holds the last seal with its cosignatures, every entry of the artifact and of its accord up to
/// there, and what proves that none is missing. `guildhall check` needs the file and public keys, and no
/// database. It only reads.
#[derive(Debug, Args)]
pub struct Evidence {
    /// Its id, its name, or the CID of its content
    #[arg(value_name = "ID|NAME|CID")]
    artifact: String,

    /// Where to write it; - for standard output
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
}

#[derive(Serialize)]
struct Written {
    artifact_id: ArtifactId,
    entries: usize,
    size: u64,
}

impl Evidence {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let target = Target::named(&self.output)?;
        let is_json = context.global.json;
        if target.is_stdout() && is_json {
            let what = "evidence on standard output needs it for itself";
            return Err(Problem::usage(what, "leave out --json, or name a file with -o").into());
        }
        let policy = context.policy.clone();
        let collected = context.reading(async |database| {
            // An id needs no table that could be wrong.
            let id = match self.artifact.parse::<ArtifactId>() {
                Ok(id) => id,
                Err(_) => asking::artifact(&*database.ops_db, &self.artifact).await?.artifact.id,
            };
            Ok(proof::collect(&*database.seals, id, &policy).await?)
        });
        let evidence = collected.await?;
        let written = Written {
            artifact_id: evidence.artifact_id,
            entries: evidence.streams.iter().map(|stream| stream.entries.len()).sum(),
            size: evidence.seal.seal().size,
        };
        target.write(&evidence.to_text()?)?;
        if is_json {
            print_document(true, &written, |_| String::new())?;
        }
        Ok(Verdict::Holds)
    }
}
