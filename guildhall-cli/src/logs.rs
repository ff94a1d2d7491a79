//! Logs on standard error: as text or as JSON, one event a line.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::args::Global;
use crate::output::Style;

/// The form of logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For log collectors
    Json,
}

/// How much is logged unless RUST_LOG says so. A command that stays has no other output to say what it
/// does; one that ends reports by itself.
fn filter(global: &Global, stays: bool) -> String {
    let level = match (global.quiet, global.verbose, stays) {
        (true, ..) if stays => "error",
        (true, ..) | (false, 0, false) => "off",
        (false, 0, true) | (false, 1, false) => "info",
        (false, ..) => "debug",
    };
    let rest = if global.verbose > 1 { ",warn" } else { "" };
    format!(
        "guildhall_cli={level},guildhall_projector={level},guildhall_store_sqlite={level},\
         guildhall_store_postgres={level},guildhall_console={level},guildhall_kube={level},\
         guildhall_witness={level}{rest}"
    )
}

/// Starts logging. `stays` is for a command that runs until it is ended.
pub(crate) fn start(global: &Global, format: LogFormat, stays: bool) {
    let asked = std::env::var("RUST_LOG").ok().filter(|asked| !asked.is_empty());
    let filter = EnvFilter::new(asked.unwrap_or_else(|| filter(global, stays)));
    let is_coloured = Style::of_stderr() != Style::PLAIN;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_coloured);
    match format {
        LogFormat::Text => logs.with_target(false).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
