//! Rounds: what is compared takes turns, each turn in a process of its own.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

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
    /// How long one of what is counted took, where that is the question.
    pub latency: Option<Latency>,
}

/// How long something takes, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Latency {
    /// What half of all stay below.
    pub p50: f64,
    /// What 99 of 100 stay below.
    pub p99: f64,
}

impl Latency {
    /// Of these durations.
    ///
    /// # Panics
    /// Where there is none.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let last = durations.len() - 1;
        let millis = |percent: usize| durations[last * percent / 100].as_secs_f64() * 1e3;
        Self { p50: millis(50), p99: millis(99) }
    }
}

const TURN: &str = "--turn";

/// Tells a turn where its data is. A URL may hold a password, and others can read arguments.
const PLACE: &str = "GUILDHALL_BENCH_PLACE";

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// To measure, as `cargo bench` does.
    Measure,
    /// One turn, in a place.
    Turn {
        /// Whose.
        name: String,
        /// Where its data is.
        place: String,
    },
    /// Nothing: built as a test.
    Nothing,
}

/// What the arguments of this process ask for.
pub fn asked() -> Asked {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match (&arguments[..], std::env::var(PLACE)) {
        ([turn, name], Ok(place)) if turn == TURN => Asked::Turn { name: name.clone(), place },
        (arguments, _) if arguments.iter().any(|argument| argument == "--bench") => Asked::Measure,
        _ => Asked::Nothing,
    }
}

/// Takes one turn in a process of its own.
///
/// # Errors
/// Where it fails, or answers something else.
pub fn turn(name: &str, place: &OsStr) -> anyhow::Result<Turn> {
    let this = std::env::current_exe()?;
    let output = Command::new(this).args([TURN, name]).env(PLACE, place).output()?;
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
    pub fn play(names: &[&str], rounds: usize, place: impl AsRef<OsStr>) -> anyhow::Result<Self> {
        let mut played = Self::default();
        let mut expected: Option<String> = None;
        for round in 0..rounds {
            for at in 0..names.len() {
                // Nobody is always first.
                let name = names[(at + round) % names.len()];
                let turn = turn(name, place.as_ref())?;
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

    /// The median latency of one of them.
    ///
    /// # Panics
    /// Where it had no turn, or none of them has one.
    pub fn latency(&self, name: &str) -> Latency {
        let found: Vec<_> = self.0[name].iter().filter_map(|turn| turn.latency).collect();
        let of = |which: fn(&Latency) -> f64| median(found.iter().map(which).collect());
        Latency { p50: of(|it| it.p50), p99: of(|it| it.p99) }
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
/// Where one is not a number.
pub fn sizes() -> anyhow::Result<Vec<usize>> {
    let text = std::env::var("GUILDHALL_BENCH_ENTRIES");
    let text = text.as_deref().unwrap_or("200_000,2_000_000").replace('_', "");
    let sizes = text.split(',').map(|size| size.trim().parse());
    sizes.collect::<Result<_, _>>().context("GUILDHALL_BENCH_ENTRIES")
}
