//! The state of a database: how far the tables are, what they hold, what is wrong.

use std::fmt::Write as _;

use anyhow::Result;
use guildhall_core::text::escape_for_terminal;
use guildhall_core::{
    AsOf, Checkpoint, Chronicle, OPS_DB, Origin, Overdue, Overview, Position, ProjectorCheckpoint,
    ReadLimit,
};
use serde::Serialize;

use crate::asking;
use crate::database::{Reading, Store};
use crate::output::Style;

/// How many overdue artifacts of each kind are named.
const LISTED_OVERDUE: u32 = 20;

/// The state of a database, at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Whether nothing is wrong: `problems` is empty.
    pub is_healthy: bool,
    /// What is wrong.
    pub problems: Vec<String>,
    /// The Chronicle's name; none while it is empty.
    pub origin: Option<Origin>,
    /// Where the log ends.
    pub head: Position,
    /// How far the tables are.
    pub checkpoint: Checkpoint,
    /// How many entries that is behind the log.
    pub lag: u64,
    /// Every read model that was ever projected here, how far it is, and who holds its lease.
    pub projectors: Vec<ProjectorCheckpoint>,
    /// What the tables hold, or held at the moment that was asked for, entries in quarantine among it.
    pub overview: Overview,
    /// What is overdue by the terms of the accords, some of each kind by name.
    pub overdue: Overdue,
    /// How much space it takes.
    pub sizes: Sizes,
}

/// How much space a database takes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// A file; none of a server's.
    pub file_bytes: Option<u64>,
    /// The log beside the file.
    pub wal_bytes: Option<u64>,
    /// The tables of a server's schema, with their indexes; none of a file.
    pub schema_bytes: Option<u64>,
}

impl Standing {
    /// Reads the state of the database, and what its tables hold, or held. Tables that are more than
    /// `max_lag` entries behind the log are a problem.
    ///
    /// # Errors
    /// The moment is not known; or the store's own.
    pub async fn load(database: &Reading, max_lag: u64, as_of: Option<AsOf>) -> Result<Self> {
        let Reading { chronicle, ops_db, store, .. } = database;
        let ops_db = ops_db.snapshot().await?;
        // First, so that what is appended meanwhile is not taken for a checkpoint beyond the end.
        let checkpoint = ops_db.checkpoint(OPS_DB).await?.unwrap_or(Checkpoint::ZERO);
        let (origin, head) = (chronicle.origin().await?, chronicle.head().await?.position);
        let lag = head.get().saturating_sub(checkpoint.position.get());
        let mut problems = Vec::new();
        if let Err(error) = check_log(&**chronicle, &checkpoint, origin.as_ref(), head).await? {
            problems.push(error.to_string());
        } else if lag > max_lag {
            problems.push(format!("the tables are {lag} entries behind the log"));
        }
        let projectors = ops_db.checkpoints().await?;
        let then = match as_of {
            None => ops_db,
            Some(moment) => ops_db.as_of(moment).await?,
        };
        let overview = then.overview().await?;
        let at = asking::time(database, as_of).await?;
        let overdue = Overdue::load(&*then, at, LISTED_OVERDUE).await?;
        let (is_healthy, sizes) = (problems.is_empty(), Sizes::of(store).await?);
        Ok(Self {
            is_healthy,
            problems,
            origin,
            head,
            checkpoint,
            lag,
            projectors,
            overview,
            overdue,
            sizes,
        })
    }

    /// The same as text.
    pub fn to_text(&self, style: Style) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing into a text cannot fail.
            let _ = writeln!(text, "{name:<12} {value}");
        };
        let origin = self.origin.as_ref().map_or("(no entry yet)", Origin::as_str);
        line("chronicle", &escape_for_terminal(origin));
        let behind = match self.lag {
            0 => style.good("up to date"),
            lag => style.doubtful(&format!("{lag} behind")),
        };
        line("position", &format!("{} of {}, {behind}", self.checkpoint.position, self.head));
        let Overview { accords, quarantined, open_ceremonies, .. } = self.overview;
        line("artifacts", &format!("{} under {accords} accords", self.overview.artifacts()));
        let Overview { healthy_deployments, drifted_deployments, unknown_deployments, .. } =
            self.overview;
        line(
            "deployments",
            &format!(
                "{healthy_deployments} healthy, {drifted_deployments} drifted, \
                 {unknown_deployments} unknown"
            ),
        );
        line("ceremonies", &format!("{open_ceremonies} open"));
        line("quarantine", &quarantined.to_string());
        let Overdue { verify, mend, review, has_more, .. } = &self.overdue;
        let more = if *has_more { ", or more" } else { "" };
        let told = format!("{verify} to verify, {mend} to mend, {review} to review{more}");
        line(
            "overdue",
            &if self.overdue.count() == 0 { "nothing".to_owned() } else { style.doubtful(&told) },
        );
        for it in &self.projectors {
            let lease = match it.lease {
                Some(lease) => format!("the lease is held until {}", lease.until),
                None => "nobody holds the lease".to_owned(),
            };
            let name = escape_for_terminal(&it.projector);
            line("read model", &format!("{name} at {}, {lease}", it.checkpoint.position));
            if let Some(from) = it.history_from {
                line(
                    "history",
                    &format!("from position {from} on; `guildhall rebuild` brings in the rest"),
                );
            }
        }
        if let Some(bytes) = self.sizes.schema_bytes {
            line("size", &shown(bytes));
        }
        if let Some(bytes) = self.sizes.file_bytes {
            let beside = self.sizes.wal_bytes.filter(|bytes| *bytes > 0);
            let beside =
                beside.map_or_else(String::new, |wal| format!(", {} beside it", shown(wal)));
            line("size", &format!("{}{beside}", shown(bytes)));
        }
        for problem in &self.problems {
            line(&style.bad("problem"), &escape_for_terminal(problem));
        }
        text
    }
}

/// Whether the log goes on from the checkpoint.
async fn check_log(
    chronicle: &dyn Chronicle,
    checkpoint: &Checkpoint,
    origin: Option<&Origin>,
    head: Position,
) -> Result<std::result::Result<(), guildhall_core::ContinuityError>> {
    let at = checkpoint.position.previous();
    let found = chronicle.read(at, ReadLimit::entries(1)).await?;
    let found = found.first().filter(|entry| entry.position == checkpoint.position);
    Ok(checkpoint.check_log(origin, head, found.map(|entry| entry.leaf_hash)))
}

impl Sizes {
    async fn of(store: &Store) -> Result<Self> {
        Ok(match store {
            #[cfg(feature = "sqlite")]
            Store::Sqlite(store) => {
                let path = &store.options().chronicle_path;
                let mut beside = path.clone().into_os_string();
                beside.push("-wal");
                let length = |path: &std::path::Path| Some(path.metadata().ok()?.len());
                let wal_bytes = length(beside.as_ref());
                Self { file_bytes: length(path), wal_bytes, schema_bytes: None }
            }
            #[cfg(feature = "postgres")]
            Store::Postgres(store) => {
                Self { schema_bytes: Some(store.facts().await?.size_bytes), ..Self::default() }
            }
        })
    }
}

/// An amount of bytes for people.
pub(crate) fn shown(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}
