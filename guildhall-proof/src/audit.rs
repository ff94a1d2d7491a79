//! The audit: whether the tables of the Ops DB are what the log says (DESIGN section 9).
//!
//! No I/O: its driver passes in entries and rows. It folds the log again, keeping 32 bytes of every row
//! that the tables should have ([`Folding`]), compares the rows that they do have with those
//! ([`Comparing`]), and if some differ needs the log once more, to name what they should be
//! ([`Naming`]). Besides those 32 bytes it holds what a fold does: the heads of all artifacts and targets,
//! and their rows, which later entries may change.

mod hash;
mod history;
mod report;

use std::collections::HashMap;

use guildhall_core::custody::chain::{BrokenChain, ChainEnd, Judge};
use guildhall_core::fold::{Changes, Fold, FoldError, RowVisitor};
use guildhall_core::store::Row;
use guildhall_core::{
    ArtifactId, Checkpoint, CustodyPolicy, CustodyTransition, DecodedEntry, GovernedArtifact,
    OnViolation, Position, Table, TableRow,
};

use self::hash::{Hashed, is_wording};
use self::history::History;
pub use self::report::{AuditFinding, AuditReport, ColumnDifference, RowKey, TableReport};

/// How many rows of one table are named of each kind; all are counted.
const NAMED_ROWS: usize = 20;

/// Where a table stands in [`Table::ALL`].
fn nth_of(table: &Table) -> usize {
    Table::ALL.iter().position(|known| known.name == table.name).unwrap_or(0)
}

/// A log that is folded from its first entry on, which a policy judges.
#[derive(Debug)]
struct Refold {
    fold: Fold,
    entries: u64,
}

impl Refold {
    fn new(policy: &CustodyPolicy) -> Self {
        let fold = Fold::over_empty_tables(policy.clone(), OnViolation::Quarantine);
        Self { fold, entries: 0 }
    }

    fn position(&self) -> Position {
        Position::try_from(self.entries).unwrap_or(Position::MAX)
    }

    /// Folds the next entries; returns the rows that no later entry changes.
    fn fold(&mut self, entries: Vec<DecodedEntry>) -> Result<Changes, FoldError> {
        self.entries += entries.len() as u64;
        self.fold.apply(entries)?;
        Ok(self.fold.take_final_rows())
    }

    /// The other rows, once the log has no more entries.
    fn finish(&mut self) -> Changes {
        self.fold.take_changes()
    }
}

/// The log is folded again.
#[derive(Debug)]
pub struct Folding<'p> {
    policy: &'p CustodyPolicy,
    history_from: Position,
    log: Refold,
    skipped: u64,
    rows: Vec<Expected>,
}

impl<'p> Folding<'p> {
    /// Nothing is folded so far. Custody is judged by this policy, which is to be the projector's, and the
    /// tables that say what was have all of it from this position on ([`Scan::history_from`]).
    ///
    /// [`Scan::history_from`]: guildhall_core::Scan::history_from
    pub fn new(policy: &'p CustodyPolicy, history_from: Position) -> Self {
        let rows = Table::ALL.map(|_| Expected::default()).into();
        Self { policy, history_from, log: Refold::new(policy), skipped: 0, rows }
    }

    /// How far it is.
    pub fn position(&self) -> Position {
        self.log.position()
    }

    /// Folds the next entries, from position 1 on and without a gap.
    ///
    /// # Errors
    /// [`FoldError`], where they do not follow those before.
    pub fn fold(&mut self, entries: Vec<DecodedEntry>) -> Result<(), FoldError> {
        let changes = self.log.fold(entries)?;
        self.skipped += changes.skipped;
        self.hash(&changes);
        Ok(())
    }

    fn hash(&mut self, changes: &Changes) {
        let history = History::from(self.history_from);
        changes.visit(&mut Hashes { tables: &mut self.rows, history });
    }

    /// The log cannot be read further, for this reason, and so nothing is said of the tables.
    pub fn unfinished(self, reason: String) -> AuditReport {
        let Self { log: Refold { entries, .. }, skipped, .. } = self;
        let mut report = AuditReport { entries, skipped, ..AuditReport::default() };
        report.add(AuditFinding::Log { reason });
        report
    }

    /// Holds the tables against what was folded, as they are at a moment whose checkpoint is where the
    /// folding has come to.
    pub fn compare(mut self) -> Comparing<'p> {
        let changes = self.log.finish();
        self.hash(&changes);
        self.rows.iter_mut().for_each(Expected::sort);
        let Self { policy, history_from, log: Refold { entries, .. }, skipped, rows } = self;
        let chains = Chains::new(policy);
        Comparing { entries, skipped, history_from, uncompared: 0, tables: rows, chains }
    }
}

struct Hashes<'r> {
    tables: &'r mut [Expected],
    history: History,
}

impl RowVisitor for Hashes<'_> {
    fn row<R: Row>(&mut self, row: &R) {
        if self.history.leaves_out(&R::TABLE, || TableRow::of(row).position()) {
            return;
        }
        let hashed = Hashed::of(row, self.history);
        let expected = &mut self.tables[nth_of(&R::TABLE)];
        expected.wordings.extend(hashed.wording.map(|wording| (hashed.key, wording)));
        expected.rows.push((hashed.key, hashed.row));
    }
}

/// The rows that one table should have, and what was found of them.
#[derive(Debug, Default)]
struct Expected {
    /// The hashes of their keys and of themselves, in that order.
    rows: Vec<(u128, u128)>,
    /// The hashes of keys, and of what may be worded otherwise.
    wordings: Vec<(u128, u128)>,
    /// Of each row, whether it was found.
    is_found: Vec<bool>,
    found: u64,
    changed: u64,
    reworded: u64,
    added: u64,
    /// The first that are other than expected, by the hash of their key.
    differing: HashMap<u128, TableRow>,
    /// The first that are not expected.
    extra: Vec<TableRow>,
}

impl Expected {
    fn sort(&mut self) {
        self.rows.sort_unstable();
        self.wordings.sort_unstable();
        self.is_found = vec![false; self.rows.len()];
    }

    fn find(&self, key: u128) -> Option<usize> {
        self.rows.binary_search_by_key(&key, |row| row.0).ok()
    }

    fn take(&mut self, row: TableRow, history: History) {
        self.found += 1;
        let hashed = Hashed::of_read(&row, history);
        let Some(nth) = self.find(hashed.key).filter(|nth| !self.is_found[*nth]) else {
            self.added += 1;
            if self.extra.len() < NAMED_ROWS {
                self.extra.push(row);
            }
            return;
        };
        self.is_found[nth] = true;
        if let Some(wording) = hashed.wording {
            let is_as_expected = self.wordings.binary_search(&(hashed.key, wording)).is_ok();
            self.reworded += u64::from(!is_as_expected);
        }
        if self.rows[nth].1 != hashed.row || row.misread().is_some() {
            self.changed += 1;
            if self.differing.len() < NAMED_ROWS {
                self.differing.insert(hashed.key, row);
            }
        }
    }

    fn missing(&self) -> u64 {
        self.is_found.iter().filter(|is_found| !**is_found).count() as u64
    }
}

/// The rows of the tables come, in the order in which a [`Scan`](guildhall_core::Scan) has them.
#[derive(Debug)]
pub struct Comparing<'p> {
    entries: u64,
    skipped: u64,
    history_from: Position,
    uncompared: u64,
    tables: Vec<Expected>,
    chains: Chains<'p>,
}

impl<'p> Comparing<'p> {
    /// Takes the next rows.
    pub fn rows(&mut self, rows: Vec<TableRow>) {
        for row in rows {
            let history = History::from(self.history_from);
            if history.leaves_out(row.table(), || row.position()) {
                self.uncompared += u64::from(row.table().is_history());
                continue;
            }
            self.chains.take(&row);
            self.tables[nth_of(row.table())].take(row, history);
        }
    }

    /// The tables have no more rows. Where some are not as they should be, the log is to be folded once
    /// more ([`Naming`]), for what that is.
    pub fn finish(mut self) -> Compared<'p> {
        self.chains.finish();
        let is_named = self.tables.iter().all(|table| table.changed == 0 && table.missing() == 0);
        let log = Refold::new(self.chains.policy);
        let naming = Naming { compared: self, log, named: Named::default() };
        if is_named { Compared::Done(naming.report()) } else { Compared::Differs(Box::new(naming)) }
    }
}

/// What comparing came to.
#[derive(Debug)]
pub enum Compared<'p> {
    /// Everything that is wrong is named.
    Done(AuditReport),
    /// Rows differ.
    Differs(Box<Naming<'p>>),
}

/// The log is folded once more, for the rows that differ.
#[derive(Debug)]
pub struct Naming<'p> {
    compared: Comparing<'p>,
    log: Refold,
    named: Named,
}

#[derive(Debug, Default)]
struct Named {
    findings: Vec<(usize, AuditFinding)>,
    /// How many missing rows of each table were named.
    missing: [usize; Table::ALL.len()],
}

impl Naming<'_> {
    /// How far it is.
    pub fn position(&self) -> Position {
        self.log.position()
    }

    /// Folds the next entries, the same ones as before.
    ///
    /// # Errors
    /// [`FoldError`], where they do not follow those before.
    pub fn fold(&mut self, entries: Vec<DecodedEntry>) -> Result<(), FoldError> {
        let changes = self.log.fold(entries)?;
        self.name(&changes);
        Ok(())
    }

    /// What was found.
    pub fn finish(mut self) -> AuditReport {
        let changes = self.log.finish();
        self.name(&changes);
        self.report()
    }

    fn name(&mut self, changes: &Changes) {
        let history = History::from(self.compared.history_from);
        let tables = &self.compared.tables;
        changes.visit(&mut Names { tables, history, named: &mut self.named });
    }

    fn report(self) -> AuditReport {
        let Self { compared, named, .. } = self;
        let Comparing { entries, skipped, history_from, uncompared, tables, chains } = compared;
        let mut findings = named.findings;
        let mut wrong = chains.broken;
        let mut reports = Vec::with_capacity(tables.len());
        let reworded = tables.iter().map(|table| table.reworded).sum();
        for (nth, (table, expected)) in Table::ALL.iter().zip(tables).enumerate() {
            let missing = expected.missing();
            wrong += expected.changed + missing + expected.added;
            reports.push(TableReport {
                table: table.name,
                rows: expected.found,
                expected: expected.rows.len() as u64,
                changed: expected.changed,
                missing,
                added: expected.added,
            });
            findings.extend(expected.extra.iter().map(|row| {
                let (key, position) = (RowKey::of(row), row.position());
                (nth, AuditFinding::Added { table: table.name, key, position })
            }));
        }
        findings.sort_by_key(|(table, _)| *table);
        let mut findings: Vec<_> = findings.into_iter().map(|(_, finding)| finding).collect();
        findings.extend(chains.findings);
        AuditReport {
            holds: wrong == 0,
            origin: None,
            checkpoint: Checkpoint::ZERO,
            entries,
            skipped,
            history_from: (history_from > Position::ZERO).then_some(history_from),
            uncompared,
            tables: reports,
            chains: chains.judged,
            links: chains.links,
            wrong,
            findings,
            reworded,
        }
    }
}

struct Names<'n> {
    tables: &'n [Expected],
    history: History,
    named: &'n mut Named,
}

impl RowVisitor for Names<'_> {
    fn row<R: Row>(&mut self, row: &R) {
        let nth = nth_of(&R::TABLE);
        if self.history.leaves_out(&R::TABLE, || TableRow::of(row).position()) {
            return;
        }
        let (table, key) = (&self.tables[nth], Hashed::of(row, self.history).key);
        let name = R::TABLE.name;
        if let Some(found) = table.differing.get(&key) {
            let row = TableRow::of(row);
            let pairs = row.columns().zip(found.columns());
            let differ = |((column, expected), (_, found))| {
                let is_same = expected == found
                    || is_wording(name, column)
                    || self.history.is_number(&R::TABLE, column);
                (!is_same).then(|| ColumnDifference::of(column, expected, found))
            };
            let columns = pairs.filter_map(differ).collect();
            let (key, position) = (RowKey::of(&row), row.position());
            let changed = AuditFinding::Changed { table: name, key, columns, position };
            self.named.findings.push((nth, changed));
        } else if table.find(key).is_some_and(|at| !table.is_found[at])
            && self.named.missing[nth] < NAMED_ROWS
        {
            self.named.missing[nth] += 1;
            let row = TableRow::of(row);
            let (key, position) = (RowKey::of(&row), row.position());
            self.named.findings.push((nth, AuditFinding::Missing { table: name, key, position }));
        }
    }
}

/// The custody chains of the tables, judged again as their links come.
#[derive(Debug)]
struct Chains<'p> {
    policy: &'p CustodyPolicy,
    /// Where each artifact's row says that its chain ends.
    ends: HashMap<ArtifactId, ChainEnd>,
    current: Option<(ArtifactId, Judge<'p>)>,
    judged: u64,
    links: u64,
    broken: u64,
    findings: Vec<AuditFinding>,
}

impl<'p> Chains<'p> {
    fn new(policy: &'p CustodyPolicy) -> Self {
        let (ends, findings) = (HashMap::new(), Vec::new());
        Self { policy, ends, current: None, judged: 0, links: 0, broken: 0, findings }
    }

    /// What cannot be read as a row is found by comparing.
    fn take(&mut self, row: &TableRow) {
        if row.table().name == GovernedArtifact::TABLE.name {
            if let Ok(artifact) = row.to::<GovernedArtifact>() {
                self.ends.insert(artifact.id, ChainEnd::from(&artifact));
            }
        } else if row.table().name == CustodyTransition::TABLE.name
            && let Ok(link) = row.to::<CustodyTransition>()
        {
            if self.current.as_ref().is_none_or(|(artifact, _)| *artifact != link.artifact_id) {
                self.end_chain();
                self.current = Some((link.artifact_id, Judge::new(self.policy)));
            }
            if let Some((_, judge)) = &mut self.current {
                // The judge keeps the first that breaks something.
                let _ = judge.judge(&link);
                self.links += 1;
            }
        }
    }

    fn end_chain(&mut self) {
        let Some((artifact, judge)) = self.current.take() else { return };
        self.judged += 1;
        let row = self.ends.remove(&artifact).unwrap_or(judge.end());
        if let Err(reason) = judge.check_links().and_then(|()| judge.check_row(row)) {
            self.broken(artifact, reason);
        }
    }

    fn finish(&mut self) {
        self.end_chain();
        // Chains that should have a link and have none.
        let mut rest: Vec<_> = self.ends.drain().filter(|(_, end)| end.seq.is_some()).collect();
        rest.sort_unstable_by_key(|(artifact, _)| *artifact);
        for (artifact, row) in rest {
            if let Err(reason) = Judge::new(self.policy).check_row(row) {
                self.broken(artifact, reason);
            }
        }
    }

    fn broken(&mut self, artifact_id: ArtifactId, reason: BrokenChain) {
        self.broken += 1;
        if self.findings.len() < NAMED_ROWS {
            self.findings.push(AuditFinding::Chain { artifact_id, reason });
        }
    }
}
