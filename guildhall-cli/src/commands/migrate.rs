use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::Context;
use crate::error::Verdict;
use crate::output::print_document;

/// Make the tables, or bring them up to date
///
/// What exists is kept; a database that is up to date is left unchanged. A newer version of the tables
/// is never undone.
#[derive(Debug, Args)]
pub struct Migrate {}

#[derive(Serialize)]
struct Migrated {
    origin: Option<String>,
    head: u64,
}

impl Migrate {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let is_json = context.global.json;
        let migrated = context.creating(
            |guild| guild,
            async |guild, _| {
                let chronicle = guild.chronicle();
                let origin = chronicle.origin().await?.map(|origin| origin.to_string());
                Ok(Migrated { origin, head: chronicle.head().await?.position.get() })
            },
        );
        let migrated = migrated.await?;
        print_document(is_json, &migrated, |_| {
            format!("the tables are up to date; the log reaches to position {}\n", migrated.head)
        })?;
        Ok(Verdict::Holds)
    }
}
