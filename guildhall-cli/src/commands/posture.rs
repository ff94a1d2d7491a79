use anyhow::Result;
use clap::Args;
use guildhall_core::{MAX_POSTURE_DAYS, PostureBy, PostureDay, PostureQuery, Timestamp};

use super::Context;
use crate::args::ListForm;
use crate::asking::{self, Moment};
use crate::error::Verdict;
use crate::output::{Row, print_rows};

/// List how many targets were healthy at the end of each day, in UTC
///
/// Of a day that has not ended, it is how they are. A group that had no target on a day has no row there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  guildhall posture                            the whole estate, the last thirty days
  guildhall posture --by tier --days 7         each tier, the last week
  guildhall posture --by accord --days 365 -o csv")]
pub struct Posture {
    /// Divide the estate: estate (not at all), tier, artifact_type or accord
    #[arg(long, default_value_t = PostureBy::Estate)]
    by: PostureBy,
    /// The last day, by any time in it; today unless told otherwise
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// How many days
    #[arg(long, default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_POSTURE_DAYS)))]
    days: u32,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    form: ListForm,
}

impl Posture {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let asked = context.reading(async |database| {
            let until = match self.until {
                Some(until) => until,
                None => asking::time(database, self.moment.as_of).await?,
            };
            let query = PostureQuery::last_days(self.days, until).by(self.by);
            Ok(self.moment.of(&database.ops_db).await?.posture(&query).await?)
        });
        let days = asked.await?;
        print_rows(self.form.listing(&context.global), &days, None)?;
        Ok(Verdict::Holds)
    }
}

impl Row for PostureDay {
    const COLUMNS: &'static [&'static str] =
        &["DAY", "GROUP", "HEALTHY", "DRIFTED", "UNKNOWN", "SHARE HEALTHY"];

    fn cells(&self) -> Vec<String> {
        let share = self.healthy_permille();
        let share = share.map(|share| format!("{}.{}%", share / 10, share % 10));
        vec![
            self.name(),
            self.group.clone(),
            self.healthy.to_string(),
            self.drifted.to_string(),
            self.unknown.to_string(),
            share.unwrap_or_default(),
        ]
    }

    /// Its day as a date.
    fn name(&self) -> String {
        self.day.to_string().chars().take_while(|&character| character != 'T').collect()
    }
}
