//! Evidence of one entry: a `.tlog-proof` (C2SP) that holds the entry too, so that it can be checked
//! with nothing but the file and public keys.
//!
//! The file's `extra` is the entry's [`Record`], a line feed, and the payload byte for byte as stored. So
//! other people's tools have what the leaf is of: SHA-256(0x00 ‖ the first line).

use std::fmt;

use guildhall_core::{Origin, TreeHash};
use serde::Serialize;

use super::ProvenEntry;
use super::check::{Trust, note, proven, signed};
use super::report::{Aspect, Cosigner, Failure, as_reason};
use crate::record::{Record, RecordError};
use crate::seal::SignedSeal;
use crate::tlog_proof::{TlogProof, TlogProofError};

/// The contents of the file, not yet checked ([`EntryEvidence::check`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryEvidence {
    /// The entry, with the proof of its inclusion.
    pub entry: ProvenEntry,
    /// Which leaf the file says that it is, from 0: its position less 1.
    pub index: u64,
    /// The seal.
    pub seal: SignedSeal,
}

/// Why a text is not evidence of an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryEvidenceError {
    /// It is not a proof.
    #[error(transparent)]
    Proof(#[from] TlogProofError),
    /// It is a proof, and does not hold what it is a proof of: another program made it.
    #[error("it does not hold the entry that it is a proof of, a record and a payload as `extra`")]
    NoEntry,
    /// Its first line is not a record.
    #[error("its `extra` is not an entry: {0}")]
    Record(#[from] RecordError),
}

impl EntryEvidence {
    /// Whether a text is meant to be a proof: it begins as one.
    pub fn is_meant(text: &[u8]) -> bool {
        TlogProof::is_meant(text)
    }

    /// The evidence of an entry that the seal covers.
    pub fn new(entry: ProvenEntry, seal: SignedSeal) -> Self {
        // Position 0 wraps to a leaf that no tree has.
        let index = entry.record.position.get().wrapping_sub(1);
        Self { entry, index, seal }
    }

    /// Reads a file, and checks nothing.
    ///
    /// # Errors
    /// [`EntryEvidenceError`].
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, EntryEvidenceError> {
        let TlogProof { extra, index, hashes, seal } = TlogProof::parse(text)?;
        let extra = extra.and_then(|extra| String::from_utf8(extra).ok());
        let (record, payload) = extra
            .as_deref()
            .and_then(|extra| extra.split_once('\n'))
            .ok_or(EntryEvidenceError::NoEntry)?;
        let record = Record::parse(record.as_bytes())?;
        let entry = ProvenEntry { payload: payload.to_owned(), proof: hashes, record };
        Ok(Self { entry, index, seal })
    }

    /// The file.
    pub fn to_proof(&self) -> TlogProof {
        let ProvenEntry { payload, proof, record } = &self.entry;
        let extra = format!("{}\n{payload}", record.to_text());
        TlogProof {
            extra: Some(extra.into_bytes()),
            index: self.index,
            hashes: proof.clone(),
            seal: self.seal.clone(),
        }
    }

    /// Checks the seal, its witnesses, and that the entry was sealed in its place with its payload.
    /// [`Trust::at_least`] and [`Trust::custody`] are about artifacts, and not asked.
    pub fn check(&self, trust: &Trust) -> EntryReport {
        let seal = self.seal.seal();
        let mut report = EntryReport {
            origin: seal.origin.clone(),
            size: seal.size,
            root: seal.root,
            record: self.entry.record.clone(),
            signers: Vec::new(),
            witnesses: Vec::new(),
            held: Vec::new(),
            failure: None,
            unknown: vec![EntryUnknown::Effect],
        };
        if trust.witnesses.is_none() {
            report.unknown.push(EntryUnknown::Unwitnessed);
        }
        report.failure = self.run(trust, &mut report).err();
        report
    }

    fn run(&self, trust: &Trust, report: &mut EntryReport) -> Result<(), (Aspect, Failure)> {
        let EntryReport { signers, witnesses, held, .. } = report;
        signed(&self.seal, trust, held, signers, witnesses)?;
        note(held, Aspect::Entries, self.entry())
    }

    fn entry(&self) -> Result<(), Failure> {
        let position = self.entry.record.position;
        if self.index.checked_add(1) != Some(position.get()) {
            return Err(Failure::Leaf { found: self.index, position });
        }
        proven(&self.entry, self.seal.seal())
    }
}

impl fmt::Display for EntryEvidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_proof().fmt(formatter)
    }
}

/// What a check of one entry found: what held, and the first thing that did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EntryReport {
    /// The Chronicle that the seal says it is of.
    pub origin: Origin,
    /// How many entries it seals.
    pub size: u64,
    /// Their root.
    pub root: TreeHash,
    /// The entry, as the file has it.
    #[serde(rename = "entry")]
    pub record: Record,
    /// The names of the log's keys that signed.
    pub signers: Vec<String>,
    /// The witnesses that cosigned.
    pub witnesses: Vec<Cosigner>,
    /// What held: of [`Aspect::Seal`], [`Aspect::Witnesses`] and [`Aspect::Entries`], in this order.
    pub held: Vec<Aspect>,
    /// The first thing that did not; none if all held.
    #[serde(serialize_with = "as_reason")]
    pub failure: Option<(Aspect, Failure)>,
    /// What such a file cannot show.
    pub unknown: Vec<EntryUnknown>,
}

impl EntryReport {
    /// Whether everything held.
    pub const fn holds(&self) -> bool {
        self.failure.is_none()
    }
}

/// Something that a proof of one entry cannot show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "unknown", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryUnknown {
    /// What became of the entry, and what came before and after it: evidence of its artifact shows that.
    Effect,
    /// No policy says who else has to have seen the seal.
    Unwitnessed,
}

impl fmt::Display for EntryUnknown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Effect => {
                "whether the entry counts, or broke an invariant, and what came before and after it: \
                 `guildhall evidence` of its artifact shows that"
            }
            Self::Unwitnessed => {
                "whether others were shown another history: no policy names witnesses"
            }
        })
    }
}
