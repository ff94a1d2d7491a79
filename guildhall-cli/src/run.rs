//! From the arguments to the exit code.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use clap::error::ErrorKind;

use crate::args::{Global, Program};
use crate::commands::{Command, Context};
use crate::ending::Ending;
use crate::error::{Verdict, conclude};
use crate::logs::LogFormat;

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
    let mut context = Context { global, location, ending: Ending::listen()? };
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
