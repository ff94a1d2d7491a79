use std::fmt::Display;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use guildhall_core::Position;
use guildhall_proof::evidence::{
    self, Aspect, Cosigner, EntryEvidence, EntryReport, Evidence, Failure, Report,
};

use super::Context;
use crate::args::position;
use crate::error::{Problem, Verdict};
use crate::output::{Style, field, print_document};
use crate::trust::{self, Trust};

/// Check the evidence of an artifact or an entry, with nothing but the file and public keys
///
/// Of an artifact: signatures, witnesses, that every entry was sealed in its place and none is missing,
/// the chain of custody and the rows of the tables. Of one entry, a .tlog-proof: signatures, witnesses, and
/// that it was sealed in its place. No database is opened. Exit code 0 if all of it holds, 1 if it does
/// not, 3 if the file is not evidence.
#[derive(Debug, Args)]
pub struct Check {
    /// The file that `guildhall evidence` wrote; - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,

    /// The position up to which an artifact's has to be complete; by default a seal of any age will do
    #[arg(long, value_name = "POSITION", value_parser = position)]
    at_least: Option<Position>,

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
        let (witnesses, custody) = (known.witnesses, context.policy.clone());
        let at_least = self.at_least.unwrap_or(Position::ZERO);
        let trust = evidence::Trust { witnesses, at_least, custody, ..evidence::Trust::new(keys) };
        let (text, json) = (read(&self.file)?, context.global.json);
        let holds = if EntryEvidence::is_meant(&text) {
            if self.at_least.is_some() {
                let what =
                    "--at-least is about the evidence of an artifact, and this is of an entry";
                return Err(Problem::usage(what, "leave it out").into());
            }
            let report = self.parsed(EntryEvidence::parse(&text))?.check(&trust);
            print_document(json, &report, |style| entry_to_text(&report, style))?;
            report.holds()
        } else {
            let report = evidence::check(&self.parsed(Evidence::parse(&text))?, &trust);
            print_document(json, &report, |style| to_text(&report, style))?;
            report.holds()
        };
        Ok(if holds { Verdict::Holds } else { Verdict::DoesNotHold })
    }

    fn parsed<T>(&self, parsed: Result<T, impl Display>) -> Result<T, Problem> {
        parsed.map_err(|reason| {
            let what = format!("{} is not evidence: {reason}", self.file.display());
            Problem::failed(what, "`guildhall evidence` writes such a file")
        })
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
    let mut text = verdict(report.holds(), style);
    field(&mut text, "artifact", &report.artifact_id.to_string());
    field(&mut text, "log", report.origin.as_str());
    signed(&mut text, report.size, &report.signers, &report.witnesses);
    if let Some(position) = report.complete_up_to {
        field(&mut text, "complete", &format!("up to position {position}"));
    }
    let refused = match report.quarantined {
        0 => String::new(),
        refused => format!(", {refused} of them broke an invariant and changed nothing"),
    };
    field(&mut text, "entries", &format!("{}{refused}", report.entries));
    field(&mut text, "chain", &format!("{} links", report.links));
    found(&mut text, &report.held, report.failure.as_ref());
    text
}

fn entry_to_text(report: &EntryReport, style: Style) -> String {
    let mut text = verdict(report.holds(), style);
    let record = &report.record;
    field(&mut text, "log", report.origin.as_str());
    signed(&mut text, report.size, &report.signers, &report.witnesses);
    let place = format!("position {}, version {} of its stream", record.position, record.version);
    field(&mut text, "entry", &place);
    field(&mut text, "id", &record.event_id.to_string());
    field(&mut text, "type", &record.r#type);
    field(&mut text, "stream", &record.stream.to_string());
    field(&mut text, "recorded", &record.time.to_string());
    field(&mut text, "payload", &format!("SHA-256 {}", record.data_sha256));
    found(&mut text, &report.held, report.failure.as_ref());
    for unknown in &report.unknown {
        field(&mut text, "not known", &unknown.to_string());
    }
    text
}

fn verdict(holds: bool, style: Style) -> String {
    let verdict = match holds {
        true => style.good("the evidence holds"),
        false => style.bad("the evidence does not hold"),
    };
    verdict + "\n"
}

fn signed(text: &mut String, size: u64, signers: &[String], witnesses: &[Cosigner]) {
    let signers = match signers {
        [] => "nobody who may".to_owned(),
        signers => signers.join(", "),
    };
    field(text, "seal", &format!("of {size} entries, signed by {signers}"));
    for witness in witnesses {
        let said = format!("{}, in the second {} of Unix time", witness.name, witness.unix_seconds);
        field(text, "witness", &said);
    }
}

fn found(text: &mut String, held: &[Aspect], failure: Option<&(Aspect, Failure)>) {
    let held: Vec<_> = held.iter().map(|aspect| name_of(*aspect)).collect();
    field(text, "held", &held.join(", "));
    if let Some((aspect, failure)) = failure {
        field(text, "wrong", &format!("{}: {failure}", name_of(*aspect)));
    }
}
