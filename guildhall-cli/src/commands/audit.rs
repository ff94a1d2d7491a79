use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use guildhall_core::Position;
use guildhall_projector::Settings;
use guildhall_projector::proof::{self, AuditProgress};
use guildhall_proof::audit::{AuditReport, TableReport};

use super::{Context, progress};
use crate::error::{Problem, Verdict};
use crate::output::{Style, field, print_document};

/// Say whether the tables of the Ops DB are what the log says
///
/// It folds the whole log again, up to where the tables are, and compares every row and column; what
/// differs is named, with the position of the entry that should have made it. It only reads. Whether the
/// log itself is unchanged, `guildhall verify` says. Exit code 0 if the tables hold, 1 if they do not, 3 if
/// that cannot be checked.
#[derive(Debug, Args)]
pub struct Audit {}

impl Audit {
    pub(crate) async fn run(self, context: &mut Context) -> Result<Verdict> {
        let (quiet, policy) = (context.global.quiet, context.policy.clone());
        let audited = context.reading(async |database| {
            let settings = Settings::default();
            let (mut said, mut is_comparing) = (progress(quiet, "folding", None), false);
            let audited = proof::audit(
                Arc::clone(&database.chronicle),
                &*database.ops_db,
                &policy,
                &settings,
                |at| match at {
                    AuditProgress::Folding { position, .. } if !is_comparing => {
                        said.set(position.get());
                    }
                    AuditProgress::Comparing { rows } => {
                        if !is_comparing {
                            is_comparing = true;
                            said = progress(quiet, "comparing", None);
                        }
                        said.set(rows);
                    }
                    _ => {}
                },
            );
            let report = audited.await?;
            said.finish(&format!("folded {} entries", report.entries));
            let head = database.chronicle.head().await?.position;
            Ok((report, head))
        });
        let (report, head) = audited.await?;
        if report.holds && report.checkpoint.position == Position::ZERO {
            let what = "no entry is projected, so there is nothing to audit";
            return Err(Problem::failed(what, "`guildhall project` fills the tables").into());
        }
        print_document(context.global.json, &report, |style| to_text(&report, head, style))?;
        Ok(if report.holds { Verdict::Holds } else { Verdict::DoesNotHold })
    }
}

fn to_text(report: &AuditReport, head: Position, style: Style) -> String {
    let mut text = String::new();
    let verdict = if report.holds {
        style.good("the tables are what the log says")
    } else {
        style.bad("the tables are not what the log says")
    };
    let _ = writeln!(text, "{verdict}");
    if let Some(origin) = &report.origin {
        field(&mut text, "origin", origin.as_str());
    }
    let position = report.checkpoint.position;
    let behind = head.get().saturating_sub(position.get());
    let lag = if behind == 0 { "" } else { " (what comes after is not in the tables yet)" };
    field(&mut text, "checkpoint", &format!("position {position} of {head}{lag}"));
    let skipped = match report.skipped {
        0 => String::new(),
        skipped => format!(", {skipped} of a type that this version does not know"),
    };
    field(&mut text, "entries", &format!("{} folded{skipped}", report.entries));
    for TableReport { table, rows, expected, changed, missing, added, .. } in &report.tables {
        let differs = match (changed, missing, added) {
            (0, 0, 0) => String::new(),
            _ => format!(
                ", expected {expected}: {changed} changed, {missing} missing, {added} added"
            ),
        };
        field(&mut text, "table", &format!("{table}: {rows} rows{differs}"));
    }
    field(
        &mut text,
        "chains",
        &format!("{} of {} links, judged again", report.chains, report.links),
    );
    if report.reworded > 0 {
        let said =
            "rows of the quarantine give their reason in other words than this version would";
        field(&mut text, "note", &format!("{} {said}", report.reworded));
    }
    if let Some(from) = report.history_from {
        let said = format!(
            "artifact_revisions and deployment_changes have their history from position {from} on: {} of \
             their rows are of entries up to there and were not compared, nor was how revisions are \
             numbered; `guildhall rebuild` brings in the rest",
            report.uncompared
        );
        field(&mut text, "note", &said);
    }
    for finding in &report.findings {
        field(&mut text, "wrong", &finding.to_string());
    }
    let unnamed = report.wrong.saturating_sub(report.findings.len() as u64);
    if unnamed > 0 {
        field(&mut text, "wrong", &format!("and {unnamed} more like these"));
    }
    text
}
