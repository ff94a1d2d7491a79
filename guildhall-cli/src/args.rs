//! What every command understands: the database, the form of the output, how much is said.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser};
use guildhall_core::{CounterError, Position};

use crate::commands::Command;
use crate::database::Location;
use crate::error::Problem;
use crate::output::Format;

/// The database that is meant where nothing says which.
const DEFAULT_DATABASE: &str = "sqlite:guildhall.db";

const AFTER_HELP: &str = "\
Examples:
  guildhall import log.jsonl                   a Chronicle from a file, in ./guildhall.db
  guildhall project                            its tables, up to date
  guildhall status                             how it stands; exit code 1 if something is wrong
  guildhall serve                              the console at http://127.0.0.1:7177/
  guildhall --database postgres://me@localhost/ops migrate

Exit codes: 0 done, or it holds; 1 failed, or it does not hold; 2 wrong usage; 3 cannot be checked.
An error is one message on standard error, and what to do about it.";

/// A Chronicle of what is decided and observed about configuration, and the tables that answer from it.
#[derive(Debug, Parser)]
#[command(
    name = "guildhall", version, after_help = AFTER_HELP, max_term_width = 100,
    subcommand_required = true, arg_required_else_help = true, infer_long_args = false,
    styles = Styles::styled().header(AnsiColor::Green.on_default().bold()).usage(AnsiColor::Green.on_default().bold()).literal(AnsiColor::Cyan.on_default().bold()),
)]
pub struct Program {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Where the Chronicle and the Ops DB are: sqlite:PATH, or postgres://USER@HOST/DATABASE, in its
    /// schema guildhall; sqlite:guildhall.db by default
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "GUILDHALL_DATABASE",
        hide_env_values = true
    )]
    pub database: Option<String>,

    /// Print JSON, for programs: one document, or a line each for what goes on
    #[arg(long, global = true)]
    pub json: bool,

    /// Print nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Log to standard error; give it twice for detail. RUST_LOG selects more finely
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// Where the database is.
    ///
    /// # Errors
    /// What is wrong with the text. It may contain a password, so clap must not show it.
    pub fn location(&self) -> anyhow::Result<Location> {
        let text = self.database.as_deref().unwrap_or(DEFAULT_DATABASE);
        text.parse().map_err(|reason| {
            let what = format!("--database: {reason}");
            Problem::usage(what, "GUILDHALL_DATABASE is read where --database is not given").into()
        })
    }
}

/// The form of a list.
#[derive(Debug, Clone, Copy, Args)]
pub struct ListForm {
    /// How to print the rows
    #[arg(short, long, value_name = "FORM", conflicts_with = "json")]
    pub output: Option<Format>,
}

impl ListForm {
    /// The form that holds, with --json the one for programs.
    pub fn format(self, global: &Global) -> Format {
        self.output.unwrap_or(if global.json { Format::Json } else { Format::Table })
    }
}

/// A position, as an argument says it.
pub(crate) fn position(text: &str) -> Result<Position, String> {
    let number: u64 = text.parse().map_err(|_| "write a position: 0, 1, 2 …".to_owned())?;
    number.try_into().map_err(|error: CounterError| error.to_string())
}
