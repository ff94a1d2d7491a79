use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use guildhall_core::Position;
use guildhall_proof::evidence::{self, Aspect, Evidence, Report};

use super::Context;
use crate::error::{Problem, Verdict};
use crate::output::{Style, field, print_document};
use crate::trust::{self, Trust};

/// Check the evidence of an artifact, with nothing but the file and public keys
///
/// Signatures, witnesses, that every entry was sealed in its place and none is missing, the chain of
/// custody and the rows of the tables. No database is opened. Exit code 0 if all of it holds, 1 if it does
/// not, 3 if the file is not evidence.
#[derive(Debug, Args)]
pub struct Check {
    /// The file that `guildhall evidence` wrote; - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,

    /// The position up to which it has to be complete; by default a seal of any age will do
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    at_least: u64,

    #[command(flatten)]
    trust: Trust,
}

impl Check {
    pub(crate) fn run(self, context: &Context) -> Result<Verdict> {
        let known = self.trust.load()?;
        let Some(keys) = known.keys else {
            let what = "without a key of the log nothing is proved";
            return Err(Problem::usage(what, "give --key, --keys or --policy").into());
        };
        let at_least = Position::try_from(self.at_least)
            .map_err(|reason| Problem::usage(format!("--at-least: {reason}"), "give a position"))?;
        let text = read(&self.file)?;
        let evidence = Evidence::parse(&text).map_err(|reason| {
            let what = format!("{} is no evidence: {reason}", self.file.display());
            Problem::failed(what, "`guildhall evidence` writes such a file")
        })?;
        let (witnesses, custody) = (known.witnesses, context.policy.clone());
        let trust = evidence::Trust { witnesses, at_least, custody, ..evidence::Trust::new(keys) };
        let report = evidence::check(&evidence, &trust);
        print_document(context.global.json, &report, |style| to_text(&report, style))?;
        Ok(if report.holds() { Verdict::Holds } else { Verdict::DoesNotHold })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return trust::read(path);
    }
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).context("reading standard input")?;
    Ok(text)
}

const fn name_of(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Seal => "seal",
        Aspect::Witnesses => "witnesses",
        Aspect::Index => "index",
        Aspect::Entries => "entries",
        Aspect::Completeness => "completeness",
        Aspect::Fold => "fold",
        Aspect::Chain => "chain",
        Aspect::Rows => "rows",
        _ => "other",
    }
}

fn to_text(report: &Report, style: Style) -> String {
    let mut text = String::new();
    let verdict = match &report.failure {
        None => style.good("the evidence holds"),
        Some(_) => style.bad("the evidence does not hold"),
    };
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{verdict}");
    field(&mut text, "artifact", &report.artifact_id.to_string());
    field(&mut text, "log", report.origin.as_str());
    let signers = match &report.signers[..] {
        [] => "nobody who may".to_owned(),
        signers => signers.join(", "),
    };
    field(&mut text, "seal", &format!("of {} entries, signed by {signers}", report.size));
    for witness in &report.witnesses {
        let said = format!("{}, in the second {} of Unix time", witness.name, witness.unix_seconds);
        field(&mut text, "witness", &said);
    }
    if let Some(position) = report.complete_up_to {
        field(&mut text, "complete", &format!("up to position {position}"));
    }
    let refused = match report.quarantined {
        0 => String::new(),
        refused => format!(", {refused} of them broke an invariant and changed nothing"),
    };
    field(&mut text, "entries", &format!("{}{refused}", report.entries));
    field(&mut text, "chain", &format!("{} links", report.links));
    let held: Vec<_> = report.held.iter().map(|aspect| name_of(*aspect)).collect();
    field(&mut text, "held", &held.join(", "));
    if let Some((aspect, failure)) = &report.failure {
        field(&mut text, "wrong", &format!("{}: {failure}", name_of(*aspect)));
    }
    text
}
