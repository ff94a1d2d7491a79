//! Rounds: what is compared takes turns, each turn in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::report::median;

/// What one turn found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Turn {
    /// How many of what is counted were done in a second.
    pub rate: f64,
    /// The process's highest resident memory, in bytes.
    pub peak_bytes: Option<u64>,
    /// What the tables held afterwards, as a digest: all that are compared did the same work.
    pub digest: Option<String>,
}

const TURN: &str = "--turn";

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// To measure, as `cargo bench` does.
    Measure,
    /// One turn, in a folder.
    Turn {
        /// Whose.
        name: String,
        /// Where its files are.
        folder: String,
    },
    /// Nothing: built as a test.
    Nothing,
}

/// What the arguments of this process ask for.
pub fn asked() -> Asked {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [turn, name, folder] if turn == TURN => {
            Asked::Turn { name: name.clone(), folder: folder.clone() }
        }
        arguments if arguments.iter().any(|argument| argument == "--bench") => Asked::Measure,
        _ => Asked::Nothing,
    }
}

/// Takes one turn in a process of its own.
///
/// # Errors
/// Where it fails, or answers something else.
pub fn turn(name: &str, folder: &Path) -> anyhow::Result<Turn> {
    let this = std::env::current_exe()?;
    let output = Command::new(this).arg(TURN).arg(name).arg(folder).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}\n{errors}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name} answered nonsense"))
}

/// Tells the process that measures.
///
/// # Errors
/// Never, in practice: a turn can be written as JSON.
pub fn answer(turn: &Turn) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(turn)?);
    Ok(())
}

/// The turns of each that is compared.
#[derive(Debug, Default)]
pub struct Rounds(BTreeMap<String, Vec<Turn>>);

impl Rounds {
    /// Lets all of them take turns.
    ///
    /// # Errors
    /// Where a turn fails, or one did other work than the rest.
    pub fn play(names: &[&str], rounds: usize, folder: &Path) -> anyhow::Result<Self> {
        let mut played = Self::default();
        let mut expected: Option<String> = None;
        for round in 0..rounds {
            for at in 0..names.len() {
                // Nobody is always first.
                let name = names[(at + round) % names.len()];
                let turn = turn(name, folder)?;
                eprintln!("  {name}: {:.0}/s", turn.rate);
                if let Some(digest) = &turn.digest {
                    let expected = expected.get_or_insert_with(|| digest.clone());
                    ensure!(expected == digest, "{name} filled the tables with something else");
                }
                played.0.entry(name.to_owned()).or_default().push(turn);
            }
        }
        Ok(played)
    }

    /// The median rate of one of them.
    ///
    /// # Panics
    /// Where it had no turn.
    pub fn rate(&self, name: &str) -> f64 {
        median(self.0[name].iter().map(|turn| turn.rate).collect())
    }

    /// The slowest and the fastest turn of one of them.
    pub fn range(&self, name: &str) -> (f64, f64) {
        let rates = self.0[name].iter().map(|turn| turn.rate);
        rates.fold((f64::INFINITY, 0.0), |(least, most), rate| (rate.min(least), rate.max(most)))
    }

    /// The most memory that any of its turns took, in bytes.
    pub fn peak_bytes(&self, name: &str) -> Option<u64> {
        self.0[name].iter().filter_map(|turn| turn.peak_bytes).max()
    }
}

/// A number from the environment, or the default.
///
/// # Errors
/// Where it is none.
pub fn number(variable: &str, default: usize) -> anyhow::Result<usize> {
    match std::env::var(variable) {
        Ok(text) => text.replace('_', "").parse().with_context(|| format!("{variable}={text}")),
        Err(_) => Ok(default),
    }
}

/// How many entries the logs have: `GUILDHALL_BENCH_ENTRIES`, several separated by commas.
///
/// # Errors
/// Where one is no number.
pub fn sizes() -> anyhow::Result<Vec<usize>> {
    let text = std::env::var("GUILDHALL_BENCH_ENTRIES");
    let text = text.as_deref().unwrap_or("200_000,2_000_000").replace('_', "");
    let sizes = text.split(',').map(|size| size.trim().parse());
    sizes.collect::<Result<_, _>>().context("GUILDHALL_BENCH_ENTRIES")
}
