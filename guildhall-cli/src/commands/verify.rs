use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use guildhall_projector::proof;
use guildhall_proof::SignedSeal;
use guildhall_proof::verify::{Verdict as Verified, VerifyReport};

use super::{Context, progress};
use crate::error::{Problem, Verdict};
use crate::output::{Style, field, print_document};
use crate::trust::{self, Trust};

/// Say whether the log is what was sealed
///
/// It reads every entry, recomputes its leaf hash, and compares the log with every seal: those in its own
/// table, whose signatures it verifies with the keys that you give, and those that you bring. Only a seal
/// that was kept elsewhere shows that the end was not cut off, and that the log was not rewritten and
/// sealed again with its own key; the report says what could not be known. It only reads. Exit code 0 if
/// the log is what was sealed, 1 if it is not, 3 if that cannot be checked: no entry, no seal, no key.
#[derive(Debug, Args)]
pub struct Verify {
    /// A file with a seal that was kept elsewhere; repeat it for several
    #[arg(long, value_name = "FILE")]
    seal: Vec<PathBuf>,

    #[command(flatten)]
    trust: Trust,
}

impl Verify {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let known = self.trust.load()?;
        let seals = self.seal.iter().map(|path| {
            let seal = SignedSeal::parse(trust::read(path)?).map_err(|reason| {
                let what = format!("{}: {reason}", path.display());
                Problem::usage(what, "it has to be a seal: a file that ends with its signatures")
            })?;
            Ok((path.display().to_string(), seal))
        });
        let seals = seals.collect::<Result<Vec<_>>>()?;
        let quiet = context.global.quiet;
        let verified = context.reading(async |database| {
            let head = database.chronicle.head().await.map(|head| head.position.get()).ok();
            let mut said = progress(quiet, "verifying", head);
            let log = Arc::clone(&database.seals);
            let verified = proof::verify(log, known, seals, |position| said.set(position.get()));
            let report = verified.await?;
            said.finish(&format!("read {} entries", report.entries));
            Ok(report)
        });
        let report = verified.await?;
        print_document(context.global.json, &report, |style| to_text(&report, style))?;
        Ok(match report.verdict {
            Verified::Holds => Verdict::Holds,
            Verified::DoesNotHold => Verdict::DoesNotHold,
            Verified::Unknown => Verdict::CannotTell,
        })
    }
}

fn to_text(report: &VerifyReport, style: Style) -> String {
    let mut text = String::new();
    let verdict = match report.verdict {
        Verified::Holds => style.good("the log is what was sealed"),
        Verified::DoesNotHold => style.bad("the log is not what was sealed"),
        Verified::Unknown => {
            style.doubtful("nothing is wrong, and nothing shows that the log is what it was")
        }
    };
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{verdict}");
    field(&mut text, "origin", report.origin.as_str());
    field(&mut text, "entries", &format!("{}, to position {}", report.entries, report.head));
    if let Some(root) = &report.root {
        field(&mut text, "root", &root.to_string());
    }
    let up_to = |size: Option<u64>| {
        size.map_or_else(|| "nothing".to_owned(), |size| format!("up to position {size}"))
    };
    let by = |names: &[String]| {
        if names.is_empty() { String::new() } else { format!(", signed by {}", names.join(", ")) }
    };
    let sealed = format!("{}{}", up_to(report.sealed_up_to), by(&report.signers));
    field(&mut text, "sealed", &format!("{sealed}; {} seals in the log's table", report.seals));
    if report.outside > 0 {
        let held = format!("{} by {} seals", up_to(report.outside_up_to), report.outside);
        field(&mut text, "outside", &held);
    }
    if !report.witnesses.is_empty() {
        let cosigned = match report.cosigned {
            0 => String::new(),
            cosigned => format!("; a quorum of {cosigned} of the log's {} seals", report.seals),
        };
        field(&mut text, "witnesses", &format!("{}{cosigned}", report.witnesses.join(", ")));
    }
    let VerifyReport { indexes, tiles, streams, .. } = report;
    let compared = format!("{indexes} index entries, {tiles} tiles, {streams} records of streams");
    field(&mut text, "compared", &compared);
    for finding in &report.findings {
        field(&mut text, "wrong", &finding.to_string());
    }
    let unnamed = report.wrong.saturating_sub(report.findings.len() as u64);
    if unnamed > 0 {
        field(&mut text, "wrong", &format!("and {unnamed} more like these"));
    }
    for unknown in &report.unknown {
        field(&mut text, "not known", &unknown.to_string());
    }
    text
}
