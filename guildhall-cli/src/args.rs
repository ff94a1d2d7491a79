//! What every command understands: the database, the form of the output, how much is said.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use guildhall_core::{CounterError, CustodyPolicy, Position};

use crate::database::Location;
use crate::error::Problem;
use crate::output::{Format, Listing};

/// The database that is meant where nothing says which.
const DEFAULT_DATABASE: &str = "sqlite:guildhall.db";

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

    /// What moves of custody are judged by: a file with a policy as JSON (docs/operate.md has its form); the
    /// standard table without rules unless told otherwise
    #[arg(long, global = true, value_name = "FILE", env = "GUILDHALL_CUSTODY_POLICY")]
    pub custody_policy: Option<PathBuf>,

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

    /// What moves of custody are judged by.
    ///
    /// # Errors
    /// The file cannot be read, or holds no policy that this version knows.
    pub fn custody_policy(&self) -> anyhow::Result<CustodyPolicy> {
        let Some(path) = &self.custody_policy else { return Ok(CustodyPolicy::standard()) };
        let shown = path.display();
        let text =
            std::fs::read(path).with_context(|| format!("reading the policy from {shown}"))?;
        serde_json::from_slice(&text).map_err(|error| {
            let what = format!("{shown} holds no policy: {error}");
            let next = r#"write it as docs/operate.md says, such as {"rules":[{"rule":"four_eyes","to":"ratified"}]}"#;
            Problem::usage(what, next).into()
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
    /// How rows are printed, with --json in the form for programs.
    pub fn listing(self, global: &Global) -> Listing {
        let usual = if global.json { Format::Json } else { Format::Table };
        Listing { format: self.output.unwrap_or(usual), quiet: global.quiet }
    }
}

/// A position, as an argument says it.
pub(crate) fn position(text: &str) -> Result<Position, String> {
    let number: u64 = text.parse().map_err(|_| "write a position: 0, 1, 2 …".to_owned())?;
    number.try_into().map_err(|error: CounterError| error.to_string())
}
