//! The seals: who signed them, and whether the log has the roots that they state.

use std::collections::BTreeSet;

use guildhall_core::{Origin, Position, TreeHash};

use super::judged::JudgedSeal;
use super::report::{Unknown, VerifyFinding, VerifyReport};
use super::{Known, NAMED};
use crate::seal::SignedSeal;

/// What one seal says, and where it is from.
#[derive(Debug)]
struct Stated {
    size: u64,
    root: TreeHash,
    /// What the auditor calls it; none of those in the log's own table.
    outside: Option<String>,
    is_signed: bool,
}

/// Which of the log's own seals the policy's quorum cosigned. A policy cannot say since when it holds, so
/// that those before the last are not held to it.
#[derive(Debug, Default)]
struct QuorumSeen {
    cosigned: u64,
    /// The largest that was.
    cosigned_up_to: Option<u64>,
    /// How many before the last were not, and the first of them.
    lacking: u64,
    sizes: Vec<u64>,
    /// The last one, and why not, where it was not.
    last: Option<(u64, String)>,
}

impl QuorumSeen {
    /// Takes the next seal, and why its cosignatures are no quorum.
    fn take(&mut self, size: u64, lacking: Option<String>) {
        if let Some((before, _)) = self.last.take() {
            self.lacking += 1;
            if self.lacking <= NAMED {
                self.sizes.push(before);
            }
        }
        match lacking {
            None => {
                self.cosigned += 1;
                self.cosigned_up_to = Some(size);
            }
            Some(reason) => self.last = Some((size, reason)),
        }
    }

    fn report(self, report: &mut VerifyReport) {
        let Self { cosigned, cosigned_up_to, lacking, sizes, last } = self;
        if let Some((size, reason)) = last {
            report.add(VerifyFinding::Seal { size, from: None, reason });
        }
        report.cosigned = cosigned;
        if lacking > 0 {
            report.unknown.push(Unknown::Uncosigned { seals: lacking, sizes, cosigned_up_to });
        }
    }
}

/// All seals, and how far the log was held against them.
#[derive(Debug)]
pub(super) struct SealsSeen {
    origin: Origin,
    known: Known,
    stated: Vec<Stated>,
    /// The next to compare.
    next: usize,
    /// The largest size at which the log has the root that is stated.
    held: u64,
    last_stored: Option<Position>,
    quorum: QuorumSeen,
    signers: BTreeSet<String>,
    witnesses: BTreeSet<String>,
}

impl SealsSeen {
    pub(super) fn of(origin: Origin, known: Known) -> Self {
        Self {
            origin,
            known,
            stated: Vec::new(),
            next: 0,
            held: 0,
            last_stored: None,
            quorum: QuorumSeen::default(),
            signers: BTreeSet::new(),
            witnesses: BTreeSet::new(),
        }
    }

    pub(super) fn last_stored(&self) -> Option<Position> {
        self.last_stored
    }

    pub(super) fn take_stored(
        &mut self,
        size: Position,
        root: TreeHash,
        note: &str,
        cosignatures: &[String],
        report: &mut VerifyReport,
    ) {
        report.seals += 1;
        let judged = self.known.judge_stored(&self.origin, (size.get(), root), note, cosignatures);
        let is_signed = judged.is_signed();
        let Some((seal, lacking)) = self.take(judged, size.get(), None, report) else { return };
        if self.known.witnesses.is_some() {
            self.quorum.take(size.get(), lacking);
        }
        let said = seal.seal();
        self.stated.push(Stated { size: said.size, root: said.root, outside: None, is_signed });
        self.last_stored = Some(size);
    }

    pub(super) fn take_outside(&mut self, name: &str, seal: SignedSeal, report: &mut VerifyReport) {
        report.outside += 1;
        let (size, root) = (seal.seal().size, seal.seal().root);
        let judged = self.known.judge(&self.origin, seal);
        let is_signed = judged.is_signed();
        if let Some((_, Some(reason))) = self.take(judged, size, Some(name), report) {
            report.add(VerifyFinding::Seal { size, from: Some(name.to_owned()), reason });
        }
        self.stated.push(Stated { size, root, outside: Some(name.to_owned()), is_signed });
    }

    /// Reports what is wrong with a seal, and notes who signed it. Returns the seal, and why its
    /// cosignatures are no quorum, where they are none.
    fn take(
        &mut self,
        judged: JudgedSeal,
        size: u64,
        from: Option<&str>,
        report: &mut VerifyReport,
    ) -> Option<(SignedSeal, Option<String>)> {
        self.witnesses.extend(judged.witnesses().map(str::to_owned));
        let JudgedSeal { seal, signers, quorum, faults, .. } = judged;
        self.signers.extend(signers);
        for reason in faults {
            report.add(VerifyFinding::Seal { size, from: from.map(str::to_owned), reason });
        }
        Some((seal?, quorum.and_then(Result::err)))
    }

    /// All are known.
    pub(super) fn sort(&mut self, report: &mut VerifyReport) {
        self.stated.sort_by_key(|stated| stated.size);
        for (nth, stated) in self.stated.iter().enumerate() {
            let same_size = self.stated[..nth].iter().rev().take_while(|it| it.size == stated.size);
            let mut forks = same_size.filter(|it| it.root != stated.root);
            if forks.next().is_some_and(|other| other.is_signed && stated.is_signed) {
                report.add(VerifyFinding::Fork { size: stated.size });
            }
        }
    }

    /// Whether a seal has this size.
    pub(super) fn is_due(&self, size: u64) -> bool {
        self.stated.get(self.next).is_some_and(|stated| stated.size <= size)
    }

    /// Compares the log, which has this root now, with the seals of its size.
    pub(super) fn compare(&mut self, size: u64, root: TreeHash, report: &mut VerifyReport) {
        while let Some(stated) = self.stated.get(self.next).filter(|it| it.size <= size) {
            self.next += 1;
            if stated.size == size && stated.root == root {
                self.held = size;
                report.note_held(size, stated.outside.is_some(), stated.is_signed);
            } else if stated.size > 0 {
                report.add(VerifyFinding::Root {
                    size: stated.size,
                    from: stated.outside.clone(),
                    after: self.held,
                    is_signed: stated.is_signed,
                });
            }
        }
    }

    /// The log has no more entries than these.
    pub(super) fn ended(&mut self, head: Position, report: &mut VerifyReport) {
        for stated in self.stated.drain(..).skip(self.next) {
            report.add(VerifyFinding::Short { size: stated.size, from: stated.outside, head });
        }
    }

    /// Says who signed, and what could not be known.
    pub(super) fn report(self, report: &mut VerifyReport) {
        report.signers = self.signers.into_iter().collect();
        report.witnesses = self.witnesses.into_iter().collect();
        if report.head == Position::ZERO {
            report.unknown.push(Unknown::Empty);
        } else if report.seals + report.outside == 0 {
            report.unknown.push(Unknown::NeverSealed);
        } else {
            if self.known.keys.is_none() {
                report.unknown.push(Unknown::Unsigned);
            }
            if report.outside == 0 {
                report.unknown.push(Unknown::NothingFromOutside);
            }
            if self.known.witnesses.is_none() {
                report.unknown.push(Unknown::Unwitnessed);
            }
        }
        self.quorum.report(report);
        let sealed_up_to = report.sealed_up_to.unwrap_or(0);
        if report.head.get() > sealed_up_to && report.seals + report.outside > 0 {
            let first = sealed_up_to + 1;
            report.unknown.push(Unknown::NotYetSealed { first, last: report.head.get() });
        }
    }
}
