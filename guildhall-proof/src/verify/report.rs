//! What a verification found, and what it could not know.

use std::fmt;

use guildhall_core::{LeafHash, Origin, Position, StreamId, TreeHash, Version};
use serde::Serialize;

use super::NAMED;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// What it comes to.
    pub verdict: Verdict,
    /// The Chronicle.
    pub origin: Origin,
    /// How many entries were read.
    pub entries: u64,
    /// The position of the last.
    pub head: Position,
    /// The root of the tree over all of them; none where there is none.
    pub root: Option<TreeHash>,
    /// Up to which position the log is what a seal says, of those whose signature was verified where
    /// keys were given; none where there is no such seal.
    pub sealed_up_to: Option<u64>,
    /// The same by the seals from outside alone.
    pub outside_up_to: Option<u64>,
    /// How many seals the log's own table has.
    pub seals: u64,
    /// How many were brought from outside.
    pub outside: u64,
    /// The names of the log's keys that signed.
    pub signers: Vec<String>,
    /// The names of the witnesses that cosigned.
    pub witnesses: Vec<String>,
    /// How many of the log's own seals the quorum of the policy cosigned; 0 without a policy.
    pub cosigned: u64,
    /// How many index entries were recomputed.
    pub indexes: u64,
    /// How many stored tiles were compared.
    pub tiles: u64,
    /// How many stored records of streams were compared.
    pub streams: u64,
    /// How many things are wrong, of which `findings` names the first of each kind.
    pub wrong: u64,
    /// What is wrong.
    pub findings: Vec<VerifyFinding>,
    /// What could not be known.
    pub unknown: Vec<Unknown>,
    #[serde(skip)]
    counts: Vec<(std::mem::Discriminant<VerifyFinding>, u64)>,
}

/// What a verification comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The log is what was sealed.
    Holds,
    /// It is not, or is not what it says of itself.
    DoesNotHold,
    /// Nothing is wrong, but nothing shows that it is unchanged: there is no entry, no seal, or no key
    /// to verify one with.
    Unknown,
}

/// Something that is wrong. `from` is what the auditor calls the seal; nothing of those in the log's own
/// table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[non_exhaustive]
pub enum VerifyFinding {
    /// The log's table has another name for it.
    Origin {
        /// The name there.
        found: Origin,
        /// The name that its seals or keys have.
        expected: Origin,
    },
    /// Entries are missing.
    Gap {
        /// The first.
        first: Position,
        /// The last.
        last: Position,
    },
    /// An entry's leaf hash is not that of its fields.
    Altered {
        /// The entry.
        position: Position,
        /// The leaf hash that is stored.
        found: LeafHash,
        /// The one of its fields.
        expected: LeafHash,
    },
    /// A row is not an entry.
    Unreadable {
        /// Its position.
        position: Position,
        /// Why not.
        reason: String,
    },
    /// An entry does not follow the one before it in its stream.
    Version {
        /// The entry.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// Its version.
        found: Version,
        /// The one that follows.
        expected: Version,
    },
    /// An index entry does not say what the streams were.
    Index {
        /// The entry.
        position: Position,
        /// What it says otherwise.
        reason: String,
    },
    /// A seal is not valid, or not this log's.
    Seal {
        /// How many entries it speaks of.
        size: u64,
        /// Where it is from.
        from: Option<String>,
        /// Why it is not.
        reason: String,
    },
    /// The log has another root than a seal of its entries states.
    Root {
        /// How many entries it speaks of.
        size: u64,
        /// Where it is from.
        from: Option<String>,
        /// Up to where the log is what was sealed before.
        after: u64,
        /// Whether the log's own key signed it.
        is_signed: bool,
    },
    /// The log ends before a seal does.
    Short {
        /// How many entries it speaks of.
        size: u64,
        /// Where it is from.
        from: Option<String>,
        /// Where the log ends.
        head: Position,
    },
    /// Two seals of one size have different roots, and the log's key signed both.
    Fork {
        /// How many entries they speak of.
        size: u64,
    },
    /// A stored tile is not what the entries make.
    Tile {
        /// Its level.
        level: u8,
        /// Which of its level, from 0.
        index: u64,
        /// The first position that it stands for.
        first: Position,
        /// The last.
        last: Position,
    },
    /// A tile is not stored.
    TileMissing {
        /// Its level.
        level: u8,
        /// Which of its level, from 0.
        index: u64,
        /// The first position that it stands for.
        first: Position,
        /// The last.
        last: Position,
    },
    /// A stored record of a stream is not where the stream ended at the last seal.
    Stream {
        /// The stream.
        stream: StreamId,
        /// The version that is stored.
        found: Version,
        /// The last version at the last seal; none where it had no entry.
        expected: Option<Version>,
    },
    /// Streams have no record.
    StreamsMissing {
        /// How many.
        missing: u64,
    },
}

/// Something that could not be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "unknown", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unknown {
    /// The log has no entry.
    Empty,
    /// The log was never sealed, so that nothing shows what it was.
    NeverSealed,
    /// No key was given, so that anybody may have made the seals.
    Unsigned,
    /// No seal was brought from outside.
    NothingFromOutside,
    /// No policy says who else has to have seen the seals.
    Unwitnessed,
    /// The quorum of the policy did not cosign some seals before the last. The policy may be younger than
    /// they are, or witnesses were out of reach.
    Uncosigned {
        /// How many.
        seals: u64,
        /// The sizes of the first.
        sizes: Vec<u64>,
        /// The size of the last that it did cosign, which vouches for those before it; none where there
        /// is none.
        cosigned_up_to: Option<u64>,
    },
    /// An index entry speaks of streams as they were long before it.
    Index {
        /// The entry.
        position: Position,
    },
    /// Entries came after the last seal.
    NotYetSealed {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
}

impl VerifyReport {
    pub(super) fn of(origin: Origin) -> Self {
        Self {
            verdict: Verdict::Unknown,
            origin,
            entries: 0,
            head: Position::ZERO,
            root: None,
            sealed_up_to: None,
            outside_up_to: None,
            seals: 0,
            outside: 0,
            signers: Vec::new(),
            witnesses: Vec::new(),
            cosigned: 0,
            indexes: 0,
            tiles: 0,
            streams: 0,
            wrong: 0,
            findings: Vec::new(),
            unknown: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// Adds something that is wrong, and names it while there is room.
    pub(super) fn add(&mut self, finding: VerifyFinding) {
        self.wrong += 1;
        let kind = std::mem::discriminant(&finding);
        let nth = self.counts.iter().position(|(known, _)| *known == kind);
        let nth = nth.unwrap_or_else(|| {
            self.counts.push((kind, 0));
            self.counts.len() - 1
        });
        let count = &mut self.counts[nth].1;
        *count += 1;
        if *count <= NAMED {
            self.findings.push(finding);
        }
    }

    /// The log has the root that a seal states.
    pub(super) fn note_held(&mut self, size: u64, is_outside: bool, is_signed: bool) {
        self.sealed_up_to = Some(size);
        if is_outside && is_signed {
            self.outside_up_to = Some(size);
        }
    }

    pub(super) fn conclude(&mut self) {
        let nothing_shows =
            |it: &Unknown| matches!(it, Unknown::Empty | Unknown::NeverSealed | Unknown::Unsigned);
        self.verdict = if self.wrong > 0 {
            Verdict::DoesNotHold
        } else if self.unknown.iter().any(nothing_shows) {
            Verdict::Unknown
        } else {
            Verdict::Holds
        };
    }
}

impl fmt::Display for VerifyFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let called = |from: &Option<String>| {
            from.as_ref().map_or_else(|| "the seal".to_owned(), |from| format!("the seal {from}"))
        };
        match self {
            Self::Origin { found, expected } => {
                write!(formatter, "the log calls itself {found}, and its seals call it {expected}")
            }
            Self::Gap { first, last } if first == last => {
                write!(formatter, "no entry stands at position {first}")
            }
            Self::Gap { first, last } => {
                write!(formatter, "no entry stands at positions {first} to {last}")
            }
            Self::Altered { position, found, expected } => write!(
                formatter,
                "the entry at position {position} was altered: its leaf hash is {found}, its fields hash to {expected}"
            ),
            Self::Unreadable { position, reason } => {
                write!(formatter, "position {position} holds no entry: {reason}")
            }
            Self::Version { position, stream, found, expected } => write!(
                formatter,
                "the entry at position {position} is version {found} of stream {stream}, expected {expected}"
            ),
            Self::Index { position, reason } => {
                write!(formatter, "the index at position {position} is not right: {reason}")
            }
            Self::Seal { size, from, reason } => {
                write!(formatter, "{} of {size} entries: {reason}", called(from))
            }
            Self::Root { size, from, after, is_signed } => {
                let (first, called) = (after + 1, called(from));
                write!(
                    formatter,
                    "positions {first} to {size} are not what {called} of {size} entries sealed"
                )?;
                if *is_signed && from.is_some() {
                    formatter.write_str(", which the log's own key signed")?;
                }
                Ok(())
            }
            Self::Short { size, from, head } => write!(
                formatter,
                "{} speaks of {size} entries, and the log ends at position {head}: its end was cut off, or an older copy restored",
                called(from)
            ),
            Self::Fork { size } => write!(
                formatter,
                "the log's key signed two histories: two seals of {size} entries have different roots"
            ),
            Self::Tile { level, index, first, last } => write!(
                formatter,
                "tile {index} of level {level} is not what positions {first} to {last} make"
            ),
            Self::TileMissing { level, index, first, last } => write!(
                formatter,
                "tile {index} of level {level}, of positions {first} to {last}, is missing"
            ),
            Self::Stream { stream, found, expected: Some(expected) } => write!(
                formatter,
                "the record of stream {stream} says version {found}, or another entry there; at the last seal it was {expected}"
            ),
            Self::Stream { stream, found, expected: None } => write!(
                formatter,
                "the record of stream {stream} says version {found}; at the last seal there was no such stream"
            ),
            Self::StreamsMissing { missing } => {
                write!(formatter, "{missing} streams have no record")
            }
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "anything: the log has no entry",
            Self::NeverSealed => {
                "whether the log is what it was: it was never sealed, and no seal was brought"
            }
            Self::Unsigned => "who made the seals: no key was given to verify them with",
            Self::NothingFromOutside => {
                "whether entries were cut off the end, or the whole log rewritten and sealed again by \
                 whoever holds its key: only a seal that was kept elsewhere shows that"
            }
            Self::Unwitnessed => {
                "whether others were shown another history: no policy names witnesses"
            }
            Self::Uncosigned { seals, sizes, cosigned_up_to } => {
                let named: Vec<_> = sizes.iter().map(u64::to_string).collect();
                let more = if *seals > sizes.len() as u64 { " …" } else { "" };
                write!(
                    formatter,
                    "who else saw {seals} of the log's seals when they were made, of {}{more} entries: \
                     the policy's quorum did not cosign them",
                    named.join(", ")
                )?;
                if let Some(size) = cosigned_up_to {
                    write!(formatter, "; it did the seal of {size}, which vouches for those before it")?;
                }
                return Ok(());
            }
            Self::Index { position } => {
                return write!(
                    formatter,
                    "whether the index at position {position} is right: it speaks of streams as they were long before; verify again"
                );
            }
            Self::NotYetSealed { first, last } => {
                return write!(
                    formatter,
                    "whether positions {first} to {last} are what they were: they are not sealed yet"
                );
            }
        })
    }
}
