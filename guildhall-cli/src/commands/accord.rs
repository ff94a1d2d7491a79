use anyhow::Result;
use clap::{Args, Subcommand};
use guildhall_core::ops::AccordKey;
use guildhall_core::{AccordBinding, AccordQuery, AccordSort};

use super::Context;
use crate::args::ListForm;
use crate::asking::{self, Moment, Paging};
use crate::error::Verdict;
use crate::output::{Row, field, print_document, print_rows};

/// The accords that artifacts are governed under: list them, show one
#[derive(Debug, Args)]
pub struct Accord {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
}

/// List accords
#[derive(Debug, Args)]
struct List {
    /// With exactly this name
    #[arg(long)]
    name: Vec<String>,
    /// Whose name begins with this text, as it is written
    #[arg(long, value_name = "TEXT")]
    name_begins: Vec<String>,
    /// name or effective_at
    #[arg(long, default_value_t = AccordSort::Name)]
    sort: AccordSort,
    /// Turn the order round
    #[arg(long)]
    descending: bool,
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    form: ListForm,
}

/// Show one accord with its terms
#[derive(Debug, Args)]
struct Show {
    /// Its id or its name
    #[arg(value_name = "ID|NAME")]
    accord: String,
    #[command(flatten)]
    moment: Moment,
}

impl Accord {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        match self.command {
            Command::List(List { name, name_begins, sort, descending, moment, paging, form }) => {
                let query = AccordQuery::default().names(name).name_begins(name_begins);
                let query = query.sort(sort).is_descending(descending);
                let query = query.limit(paging.limit).after(paging.after::<AccordKey>()?);
                if query.after.is_some() && query.paging().key.is_none() {
                    return Err(asking::no_cursor());
                }
                let asked = context.reading(async |database| {
                    Ok(moment.of(&database.ops_db).await?.accords(&query).await?)
                });
                let page = asked.await?;
                print_rows(form.listing(&context.global), &page.rows, page.next.as_ref())?;
            }
            Command::Show(Show { accord, moment }) => {
                let asked = context.reading(async |database| {
                    asking::accord(&*moment.of(&database.ops_db).await?, &accord).await
                });
                let accord = asked.await?;
                print_document(context.global.json, &accord, |_| text_of(&accord))?;
            }
        }
        Ok(Verdict::Holds)
    }
}

fn text_of(accord: &AccordBinding) -> String {
    let mut text = String::new();
    field(&mut text, "name", &accord.name);
    field(&mut text, "id", &accord.id.to_string());
    field(&mut text, "bound by", &accord.bound_by);
    field(&mut text, "effective", &accord.effective_at.to_string());
    field(&mut text, "position", &accord.position.to_string());
    field(&mut text, "terms", accord.accord_terms.as_str());
    text
}

impl Row for AccordBinding {
    const COLUMNS: &'static [&'static str] = &["NAME", "BOUND BY", "EFFECTIVE AT", "ID"];

    fn cells(&self) -> Vec<String> {
        let effective = self.effective_at.to_string();
        vec![self.name.clone(), self.bound_by.clone(), effective, self.id.to_string()]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
