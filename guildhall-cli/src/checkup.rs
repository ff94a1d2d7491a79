//! What is wrong with a database, and what to do about it.

use std::fmt::Write as _;
use std::time::SystemTime;

use anyhow::{Error, Result};
use guildhall_core::text::escape_for_terminal;
use guildhall_core::{Chronicle, CustodyPolicy, OPS_DB, Position, ReadLimit, Timestamp};
use serde::Serialize;

use crate::database::{Reading, Store};
use crate::ending::message;
use crate::error::{may_pass, next};
use crate::output::Style;
use crate::progress::Progress;
use crate::standing::{Standing, shown};

mod chains;

/// How far the tables may be behind before it is worth a warning.
const NOTED_LAG: u64 = 10_000;

/// From which size on the log beside a file is worth a warning, in bytes. SQLite folds it in at 65 MiB
/// (16,384 pages), or after the transaction that gets there, unless a reader is in the way.
#[cfg(feature = "sqlite")]
const NOTED_WAL_BYTES: u64 = 256 << 20;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Warning,
    /// Wrong.
    Problem,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub about: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub found: String,
    /// What to do about it; none if nothing is to be done.
    pub help: Option<String>,
}

impl Finding {
    fn fine(about: &'static str, found: impl Into<String>) -> Self {
        Self { about, severity: Severity::Fine, found: found.into(), help: None }
    }

    fn warning(about: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        let (found, help) = (found.into(), Some(help.into()));
        Self { about, severity: Severity::Warning, found, help }
    }

    /// Something is wrong.
    pub fn problem(about: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        let (found, help) = (found.into(), Some(help.into()));
        Self { about, severity: Severity::Problem, found, help }
    }
}

/// All that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checkup {
    /// Whether nothing is wrong; warnings do not count.
    pub is_healthy: bool,
    /// What was found, in the order in which it was looked at.
    pub findings: Vec<Finding>,
}

impl From<Vec<Finding>> for Checkup {
    fn from(findings: Vec<Finding>) -> Self {
        let is_healthy = findings.iter().all(|it| it.severity != Severity::Problem);
        Self { is_healthy, findings }
    }
}

impl Checkup {
    /// Looks at everything that can be read; where `thorough`, at every entry, every page, and every chain of
    /// custody, by this policy.
    ///
    /// # Errors
    /// The store's own, if it is transient.
    pub async fn of(
        database: &Reading,
        policy: &CustodyPolicy,
        thorough: bool,
        quiet: bool,
    ) -> Result<Self> {
        let mut findings = Vec::new();
        about_store(database, thorough, &mut findings).await?;
        about_log(database, thorough, quiet, &mut findings).await?;
        match Standing::load(database, u64::MAX, None).await {
            Ok(standing) => {
                about_tables(&standing, &mut findings);
                if thorough {
                    findings.push(chains::judge(&*database.ops_db, policy).await?);
                }
            }
            Err(error) => findings.push(unreadable("tables", error)?),
        }
        Ok(findings.into())
    }

    /// The same as text.
    pub fn to_text(&self, style: Style) -> String {
        let mut text = String::new();
        for Finding { about, severity, found, help } in &self.findings {
            let mark = match severity {
                Severity::Fine => style.good("ok      "),
                Severity::Warning => style.doubtful("warning "),
                Severity::Problem => style.bad("problem "),
            };
            // Writing into a text cannot fail.
            let _ = writeln!(text, "{mark} {about:<11} {}", escape_for_terminal(found));
            if let Some(help) = help {
                let _ = writeln!(text, "{:21}help: {help}", "");
            }
        }
        text
    }
}

/// What cannot be read, now or later.
fn unreadable(about: &'static str, error: Error) -> Result<Finding> {
    if may_pass(&error) {
        return Err(error);
    }
    Ok(Finding::problem(about, message(&error), next(&error)))
}

#[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "pages are a file's"))]
async fn about_store(
    database: &Reading,
    thorough: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    match &database.store {
        #[cfg(feature = "sqlite")]
        Store::Sqlite(store) => {
            about_file(store.options().chronicle_path.clone(), thorough, findings).await
        }
        #[cfg(feature = "postgres")]
        Store::Postgres(store) => {
            let facts = store.facts().await?;
            let kind = if facts.is_standby { ", a standby" } else { "" };
            let (version, size) = (&facts.version, shown(facts.size_bytes));
            findings.push(Finding::fine(
                "server",
                format!("PostgreSQL {version}{kind}; the tables take {size}"),
            ));
            if !facts.is_durable {
                findings.push(Finding::problem(
                    "durability",
                    "fsync or full_page_writes is off: what was acknowledged may be lost in a power cut",
                    "turn both on in postgresql.conf",
                ));
            }
            if facts.standbys > 0 && !facts.is_synchronous && !facts.is_standby {
                findings.push(Finding::warning(
                    "standbys",
                    "no standby is synchronous: when one takes over, what was acknowledged may be lost",
                    "set synchronous_standby_names (under Patroni, synchronous_mode: true)",
                ));
            }
            if facts.is_superuser {
                findings.push(Finding::warning(
                    "role",
                    "the role is a superuser, which can drop what keeps tables append-only",
                    "log in as one of the roles that roles.sql makes",
                ));
            }
            Ok(())
        }
    }
}

#[cfg(feature = "sqlite")]
async fn about_file(
    path: std::path::PathBuf,
    thorough: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let metadata = path.metadata()?;
    let size = shown(metadata.len());
    findings.push(Finding::fine("file", format!("{}, {size}", path.display())));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.permissions().mode() & 0o002 != 0 {
            let help = format!("chmod o-w {}", path.display());
            findings.push(Finding::warning("file", "everybody can write to it", help));
        }
    }
    let mut beside = path.clone().into_os_string();
    beside.push("-wal");
    let wal = std::fs::metadata(&beside).map_or(0, |found| found.len());
    if wal > NOTED_WAL_BYTES {
        let found = format!("{} are in the log beside it", shown(wal));
        let help = "find out which program has had the file open for reading for long, and end it";
        findings.push(Finding::warning("file", found, help));
    }
    if thorough {
        let checked = tokio::task::spawn_blocking(move || check_pages(&path)).await?;
        findings.push(match checked {
            Ok(faults) if faults.is_empty() => Finding::fine("pages", "every page is sound"),
            Ok(faults) => {
                let help =
                    "restore the file from a backup, and keep this one for the investigation";
                Finding::problem("pages", faults.join("; "), help)
            }
            Err(error) => unreadable("pages", error.into())?,
        });
    }
    Ok(())
}

/// What SQLite finds wrong with the file, at most ten things.
#[cfg(feature = "sqlite")]
fn check_pages(path: &std::path::Path) -> guildhall::sqlite::rusqlite::Result<Vec<String>> {
    use guildhall::sqlite::rusqlite::{Connection, OpenFlags};
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut check = connection.prepare("PRAGMA quick_check(10)")?;
    let found: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

async fn about_log(
    database: &Reading,
    thorough: bool,
    quiet: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let chronicle = &*database.chronicle;
    let looked =
        if thorough { read_all(chronicle, quiet).await } else { read_last(chronicle).await };
    let last_at = match looked {
        Ok((found, last_at)) => {
            findings.push(Finding::fine("log", found));
            last_at
        }
        Err(error) => {
            findings.push(unreadable("log", error)?);
            None
        }
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_micros()).ok().and_then(|now| Timestamp::from_micros(now).ok());
    if let Some((last_at, now)) = last_at.zip(now).filter(|(last_at, now)| last_at > now) {
        findings.push(Finding::warning(
            "clock",
            format!("the last entry was recorded at {last_at}, and here it is {now}"),
            "set the clock, of this machine or of the one that records",
        ));
    }
    Ok(())
}

/// What the log is, from its last entry, whose leaf hash the store checks.
async fn read_last(chronicle: &dyn Chronicle) -> Result<(String, Option<Timestamp>)> {
    let head = chronicle.head().await?.position;
    let last = chronicle.read(head.previous(), ReadLimit::entries(1)).await?;
    let origin = chronicle.origin().await?;
    let name = origin.map_or_else(|| "no name yet".to_owned(), |origin| origin.to_string());
    Ok((format!("{name}, to position {head}"), last.last().map(|entry| entry.recorded_at)))
}

/// The same, after reading every entry.
async fn read_all(chronicle: &dyn Chronicle, quiet: bool) -> Result<(String, Option<Timestamp>)> {
    let (found, last_at) = read_last(chronicle).await?;
    let head = chronicle.head().await?.position;
    let mut progress =
        if quiet { Progress::silent() } else { Progress::start("reading", Some(head.get())) };
    let mut position = Position::ZERO;
    while position < head {
        let entries = chronicle.read(position, ReadLimit::entries(1000)).await?;
        for entry in &entries {
            if Some(entry.position) != position.next() {
                anyhow::bail!("position {} follows {position}", entry.position);
            }
            position = entry.position;
        }
        if entries.is_empty() {
            anyhow::bail!("the log ends at position {position}, before its head {head}");
        }
        progress.set(position.get());
    }
    progress.finish(&format!("read {position} entries"));
    Ok((format!("{found}; every entry has the leaf hash of its fields"), last_at))
}

fn about_tables(standing: &Standing, findings: &mut Vec<Finding>) {
    for problem in &standing.problems {
        findings.push(Finding::problem(
            "tables",
            problem,
            "restore the whole log; or, if it is as it should be, \
             `guildhall rebuild --accept-rewritten`",
        ));
    }
    let (lag, position) = (standing.lag, standing.checkpoint.position);
    let projector = standing.projectors.iter().find(|it| it.projector == OPS_DB);
    let holder = projector.and_then(|it| it.lease);
    let start =
        "`guildhall project` brings them up to date, `guildhall project --follow` keeps them so";
    findings.push(match (lag, holder) {
        (0, _) => Finding::fine("tables", format!("up to date at position {position}")),
        (lag, None) => Finding::warning(
            "tables",
            format!("{lag} entries behind the log, and nobody projects them"),
            start,
        ),
        (lag, Some(lease)) if lag > NOTED_LAG => Finding::warning(
            "tables",
            format!("{lag} entries behind the log; the lease is held until {}", lease.until),
            "wait; if it does not get less, look at what the projector logs",
        ),
        (lag, Some(_)) => Finding::fine("tables", format!("{lag} entries behind, being projected")),
    });
    for other in standing.projectors.iter().filter(|it| it.projector != OPS_DB) {
        if other.checkpoint.position < position {
            findings.push(Finding::warning(
                "read_model",
                format!(
                    "{} is at position {}, the Ops DB at {position}",
                    other.projector, other.checkpoint.position
                ),
                "run the program that has this read model",
            ));
        }
    }
    let quarantined = standing.overview.quarantined;
    findings.push(if quarantined == 0 {
        Finding::fine("quarantine", "empty")
    } else {
        Finding::warning(
            "quarantine",
            format!("{quarantined} entries broke an invariant and touched nothing"),
            "`guildhall quarantine list` shows them; record again what was meant: a log is never edited",
        )
    });
}
