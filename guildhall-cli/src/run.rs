//! From the arguments to the exit code.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};

use crate::args::Global;
use crate::commands::{Command, Context};
use crate::ending::Ending;
use crate::error::{Verdict, conclude};
use crate::logs::LogFormat;

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
struct Program {
    /// What every command understands.
    #[command(flatten)]
    global: Global,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// Runs the program on the arguments of this process.
pub fn main() -> ExitCode {
    let Program { global, command } = match Program::try_parse() {
        Ok(program) => program,
        Err(error) => return said_by_clap(&error),
    };
    let is_check = command.is_check();
    let logs = command.logs();
    crate::logs::start(&global, logs.unwrap_or_default(), logs.is_some());
    let outcome = tokio::runtime::Runtime::new().context("starting").and_then(|runtime| {
        let outcome = runtime.block_on(run(global, command));
        // A read of standard input that nobody waits for any more must not hold the process.
        runtime.shutdown_background();
        outcome
    });
    conclude(outcome, is_check, logs == Some(LogFormat::Json))
}

async fn run(global: Global, command: Command) -> anyhow::Result<Verdict> {
    let location = global.location()?;
    let policy = global.custody_policy()?;
    let ending = Ending::listen()?;
    let program = Program::command;
    let mut context = Context { global, location, policy, program, ending };
    command.run(&mut context).await
}

/// Help and versions go to standard output, wrong usage to standard error. A reader who has gone is
/// no failure.
fn said_by_clap(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}
