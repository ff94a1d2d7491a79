//! Witnessing: what a log asks a witness, how a witness decides, and what it answers (C2SP
//! tlog-witness, `add-checkpoint`). Requests, statuses and bodies as data; sending them, and keeping
//! what a witness knows, is for code with a network and a disk.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use guildhall_core::{Origin, TreeHash};
use sha2::{Digest, Sha256};

use crate::decimal;
use crate::key::VerifierKey;
use crate::merkle::{ConsistencyProof, ProofError, empty_root};
use crate::note::{NoteError, NoteSignature, VerifyError, parse_signature_lines};
use crate::seal::{Seal, SealError, SignedSeal};
use crate::tlog_proof::parse_hash;

/// Where a request is posted to, after the submission prefix and a slash.
pub const ADD_CHECKPOINT: &str = "add-checkpoint";

/// The content type of the answer to a conflict.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// How many hashes a request may have.
pub const MAX_PROOF_HASHES: usize = 63;

/// How long a request may be, in bytes: a note, and what stands before it.
pub const MAX_REQUEST_BYTES: usize = crate::note::MAX_NOTE_BYTES + 8192;

/// Where a witness serves its latest seal of a log, after the monitoring prefix and a slash.
pub fn monitoring_path(origin: &Origin) -> String {
    format!("{}/checkpoint", HEXLOWER.encode(&Sha256::digest(origin.as_str())))
}

/// The body of `add-checkpoint`: a seal, and that it grew out of an earlier size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness last cosigned, as the log knows it.
    pub old_size: u64,
    /// The proof from there to the seal; empty from 0 and where nothing grew.
    pub proof: Vec<TreeHash>,
    /// The seal.
    pub seal: SignedSeal,
}

/// Why a body is not a request: a witness answers 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It is too long.
    #[error("a request of {found} bytes, where {MAX_REQUEST_BYTES} are the most")]
    TooLong {
        /// How many bytes.
        found: usize,
    },
    /// It is not UTF-8, or has no empty line before the seal.
    #[error("not a text of an old size, a proof, an empty line and a seal")]
    Form,
    /// The first line is not an old size.
    #[error("the first line is not `old <size>`")]
    OldSize,
    /// A line of the proof is not a hash.
    #[error("line {line} is not a hash in base64")]
    Hash {
        /// The line, from 1.
        line: usize,
    },
    /// The proof is too long.
    #[error("more than {MAX_PROOF_HASHES} hashes")]
    TooManyHashes,
    /// The seal is not valid.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl AddCheckpoint {
    /// Reads a body, and verifies nothing.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLong { found: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| RequestError::Form)?;
        let (head, seal) = text.split_once("\n\n").ok_or(RequestError::Form)?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old "));
        let old_size = old_size.and_then(decimal::parse).ok_or(RequestError::OldSize)?;
        let mut proof = Vec::new();
        for (nth, line) in lines.enumerate() {
            if nth == MAX_PROOF_HASHES {
                return Err(RequestError::TooManyHashes);
            }
            proof.push(parse_hash(line).ok_or(RequestError::Hash { line: nth + 2 })?);
        }
        Ok(Self { old_size, proof, seal: SignedSeal::parse_extended(seal)? })
    }
}

impl fmt::Display for AddCheckpoint {
    /// The body, to the byte.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "old {}", self.old_size)?;
        for hash in &self.proof {
            writeln!(formatter, "{}", BASE64.encode(hash.as_bytes()))?;
        }
        write!(formatter, "\n{}", self.seal)
    }
}

/// What a witness knows of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Names it.
    pub origin: Origin,
    /// The keys that may seal it.
    pub keys: Vec<VerifierKey>,
    /// What the witness last cosigned of it; none at first.
    pub latest: Option<Latest>,
}

/// The size and root that a witness last cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest {
    /// The size.
    pub size: u64,
    /// The root.
    pub root: TreeHash,
}

impl From<&Seal> for Latest {
    fn from(seal: &Seal) -> Self {
        Self { size: seal.size, root: seal.root }
    }
}

/// Why a witness does not cosign. Each has its status ([`status`](Self::status)).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The body is not a request.
    #[error(transparent)]
    Malformed(#[from] RequestError),
    /// The old size is beyond that of the seal.
    #[error("the old size {old} is beyond the seal's {new}")]
    OldBeyondNew {
        /// The old size.
        old: u64,
        /// The seal's.
        new: u64,
    },
    /// No trusted key signed, or a signature that states one is wrong.
    #[error(transparent)]
    Signature(#[from] VerifyError),
    /// The witness does not know the log.
    #[error("this witness does not know the log {origin}")]
    UnknownLog {
        /// The seal's origin.
        origin: Origin,
    },
    /// The old size is not what the witness last cosigned: the log asks again, from there.
    #[error("the old size is {found}, and this witness last cosigned {expected}")]
    Conflict {
        /// What the request says.
        found: u64,
        /// What the witness last cosigned.
        expected: u64,
    },
    /// The seal contradicts what the witness last cosigned. The seal is signed: it is worth keeping.
    #[error("the seal contradicts what this witness last cosigned: {0}")]
    Inconsistent(ProofError),
}

impl Refusal {
    /// The HTTP status: 400, 403, 404, 409 or 422.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OldBeyondNew { .. } => 400,
            Self::Signature(_) => 403,
            Self::UnknownLog { .. } => 404,
            Self::Conflict { .. } => 409,
            Self::Inconsistent(_) => 422,
        }
    }

    /// The body of the answer: after a conflict the size, in the type [`SIZE_CONTENT_TYPE`]; else
    /// why, for people.
    pub fn body(&self) -> String {
        match self {
            Self::Conflict { expected, .. } => format!("{expected}\n"),
            other => format!("{other}\n"),
        }
    }
}

impl Log {
    /// Decides about a request, and returns the seal to cosign, with the signatures of trusted keys
    /// alone.
    ///
    /// The witness records it, as the log's [`latest`](Self::latest), and only then cosigns it
    /// ([`cosign`](crate::cosign)) and answers 200 with the signature's line. Deciding and
    /// recording are one step: two requests at once must not both be judged against the same `latest`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn judge(&self, request: &AddCheckpoint) -> Result<SignedSeal, Refusal> {
        let seal = request.seal.seal();
        if seal.origin != self.origin {
            return Err(Refusal::UnknownLog { origin: seal.origin.clone() });
        }
        let trusted = request.seal.signed_by(&self.keys)?;
        let old = request.old_size;
        if old > seal.size {
            return Err(Refusal::OldBeyondNew { old, new: seal.size });
        }
        let latest = self.latest.unwrap_or(Latest { size: 0, root: empty_root() });
        if old != latest.size {
            return Err(Refusal::Conflict { found: old, expected: latest.size });
        }
        let hashes = request.proof.clone();
        let proof = ConsistencyProof { old, new: seal.size, hashes };
        proof.verify_growth(&latest.root, &seal.root).map_err(Refusal::Inconsistent)?;
        Ok(trusted)
    }
}

/// What a witness answered, as a log understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// 200: signature lines, not verified yet; those of unknown keys mean nothing.
    Cosigned(Vec<NoteSignature>),
    /// 409: ask again, with a proof from this size. A size beyond the log's own means that the
    /// witness has seen more of it than it has: it was restored from a backup, and stops.
    Conflict {
        /// What the witness last cosigned.
        size: u64,
    },
    /// 422: the witness has cosigned something that the seal contradicts. A sound log never gets this;
    /// asking again is of no use.
    Inconsistent,
    /// 403: the witness trusts none of the keys that signed.
    Untrusted,
    /// 404: the witness does not know the log.
    UnknownLog,
    /// 400: the witness does not understand the request.
    Malformed,
    /// Any other status: later, perhaps.
    Other {
        /// The status.
        status: u16,
    },
}

/// Why an answer means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The body of a 200 is not signature lines.
    #[error("the witness answered 200, and not with signatures: {0}")]
    Signatures(#[from] NoteError),
    /// The body of a 409 is not a size, or of another type.
    #[error("the witness answered 409, and not with the size that it last cosigned")]
    Size,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn read(status: u16, content_type: Option<&str>, body: &[u8]) -> Result<Self, AnswerError> {
        Ok(match status {
            200 => Self::Cosigned(parse_signature_lines(body)?),
            409 => {
                let media_type = content_type.and_then(|of| of.split(';').next()).map(str::trim);
                let size = std::str::from_utf8(body).ok().and_then(|text| text.strip_suffix('\n'));
                let size = size.and_then(decimal::parse);
                let is_size =
                    media_type.is_some_and(|of| of.eq_ignore_ascii_case(SIZE_CONTENT_TYPE));
                Self::Conflict { size: size.filter(|_| is_size).ok_or(AnswerError::Size)? }
            }
            400 => Self::Malformed,
            403 => Self::Untrusted,
            404 => Self::UnknownLog,
            422 => Self::Inconsistent,
            status => Self::Other { status },
        })
    }
}
