use anyhow::{Error, Result};
use clap::Args;

use super::Context;
use crate::checkup::{Checkup, Finding};
use crate::database::{Location, Reading};
use crate::ending::message;
use crate::error::{Verdict, next};
use crate::output::print_document;

/// Say what is wrong with this database, file or server, and what to do about it
///
/// It only reads. Exit code 0 if nothing is wrong (warnings do not count), 1 if something is, 3 if it
/// cannot be checked.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Also read the whole log and check every entry's leaf hash, every page of a file, and every chain of
    /// custody against the policy
    #[arg(long)]
    thorough: bool,
}

impl Doctor {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let (is_json, quiet) = (context.global.json, context.global.quiet);
        context.check_is_there()?;
        let opening = async { Ok(Reading::open(&context.location).await) };
        let checkup = match context.ending.or_ends(opening).await? {
            Ok(database) => {
                let looking = Checkup::of(&database, &context.policy, self.thorough, quiet);
                let checkup = context.ending.or_ends(looking).await;
                context.ending.closed(database.close(), checkup).await?
            }
            // Who cannot be reached may be well.
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                let error = Error::from(error);
                let about = match &context.location {
                    #[cfg(feature = "sqlite")]
                    Location::Sqlite(_) => "file",
                    #[cfg(feature = "postgres")]
                    Location::Postgres(_) => "server",
                };
                Checkup::from(vec![Finding::problem(about, message(&error), next(&error))])
            }
        };
        print_document(is_json, &checkup, |style| checkup.to_text(style))?;
        Ok(if checkup.is_healthy { Verdict::Holds } else { Verdict::DoesNotHold })
    }
}
