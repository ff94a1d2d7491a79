use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use guildhall_core::{ArtifactId, CustodyPolicy, Position};
use guildhall_projector::proof;
use serde::Serialize;

use super::Context;
use crate::args::position;
use crate::asking;
use crate::database::Reading;
use crate::error::{Problem, Verdict};
use crate::output::print_document;
use crate::target::Target;

/// Write the evidence of an artifact, or of one entry: a file that proves it offline
///
/// Of an artifact it holds the last seal with its cosignatures, every entry of the artifact and of its
/// accord up to there, and what proves that none is missing. Of an entry it is a .tlog-proof, which other
/// people's tools read too: the seal, the entry, and what proves that it stands in its place. `guildhall
/// check` needs the file and public keys, and no database. It only reads.
#[derive(Debug, Args)]
pub struct Evidence {
    /// Its id, its name, or the CID of its content
    #[arg(value_name = "ID|NAME|CID", required_unless_present = "entry")]
    artifact: Option<String>,

    /// The position of one entry, instead of an artifact
    #[arg(long, value_name = "POSITION", conflicts_with = "artifact", value_parser = position)]
    entry: Option<Position>,

    /// Where to write it; - for standard output
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
}

#[derive(Serialize)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_id: Option<ArtifactId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
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
        let collected = context.reading(async |database| match (&self.artifact, self.entry) {
            (_, Some(position)) => of_entry(database, position).await,
            (artifact, None) => {
                of_artifact(database, artifact.as_deref().unwrap_or_default(), &policy).await
            }
        });
        let (written, text) = collected.await?;
        target.write(&text)?;
        if is_json {
            print_document(true, &written, |_| String::new())?;
        }
        Ok(Verdict::Holds)
    }
}

async fn of_artifact(
    database: &Reading,
    artifact: &str,
    policy: &CustodyPolicy,
) -> Result<(Written, String)> {
    // An id needs no table that could be wrong.
    let id = match artifact.parse::<ArtifactId>() {
        Ok(id) => id,
        Err(_) => asking::artifact(&*database.ops_db, artifact).await?.artifact.id,
    };
    let evidence = proof::collect(Arc::clone(&database.seals), id, policy).await?;
    let written = Written {
        artifact_id: Some(id),
        position: None,
        entries: evidence.streams.iter().map(|stream| stream.entries.len()).sum(),
        size: evidence.seal.seal().size,
    };
    Ok((written, evidence.to_text()?))
}

async fn of_entry(database: &Reading, position: Position) -> Result<(Written, String)> {
    let evidence = proof::collect_entry(Arc::clone(&database.seals), position).await?;
    let size = evidence.seal.seal().size;
    let written = Written { artifact_id: None, position: Some(position), entries: 1, size };
    Ok((written, evidence.to_string()))
}
