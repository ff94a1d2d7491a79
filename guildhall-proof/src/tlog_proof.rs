//! `.tlog-proof` files: one entry's inclusion with the seal that it leads to (C2SP tlog-proof).

use std::fmt;

use data_encoding::BASE64;
use guildhall_core::TreeHash;

use crate::decimal;
use crate::merkle::{InclusionProof, ProofError};
use crate::seal::{SealError, SignedSeal};

/// The first line.
const FORMAT: &str = "c2sp.org/tlog-proof@v1";

/// How many hashes a proof can have: a tree has 2^64 leaves at most.
const MAX_HASHES: usize = 64;

/// Proves offline that something was logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// What its maker added; nothing vouches for it.
    pub extra: Option<Vec<u8>>,
    /// Which entry, from 0: its position less 1.
    pub index: u64,
    /// The proof that the seal's tree has it.
    pub hashes: Vec<TreeHash>,
    /// The seal, whose signatures are to be verified too.
    pub seal: SignedSeal,
}

/// Why a text is not a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogProofError {
    /// It is not UTF-8, or has no empty line between the proof and the seal.
    #[error("not a text of a proof, an empty line and a seal")]
    Form,
    /// It does not begin with its format.
    #[error("the first line is not `{FORMAT}`")]
    Format,
    /// A line is not what stands there.
    #[error("line {line} is not {expected}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What stands there.
        expected: &'static str,
    },
    /// The seal is not valid.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl TlogProof {
    /// Whether a text is meant to be a proof: it begins as one.
    pub fn is_meant(bytes: &[u8]) -> bool {
        bytes.starts_with(FORMAT.as_bytes())
    }

    /// Reads a proof, and verifies nothing.
    ///
    /// # Errors
    /// [`TlogProofError`].
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, TlogProofError> {
        let whole = std::str::from_utf8(bytes.as_ref()).map_err(|_| TlogProofError::Form)?;
        let (head, seal) = whole.split_once("\n\n").ok_or(TlogProofError::Form)?;
        let mut lines = head.split('\n').enumerate().map(|(nth, line)| (nth + 1, line)).peekable();
        if lines.next().is_none_or(|(_, line)| line != FORMAT) {
            return Err(TlogProofError::Format);
        }
        let wrong = |line, expected| TlogProofError::Line { line, expected };
        let extra = lines.next_if(|(_, line)| line.starts_with("extra "));
        let extra = extra.map(|(line, text)| {
            let data = text.strip_prefix("extra ").unwrap_or_default();
            BASE64.decode(data.as_bytes()).map_err(|_| wrong(line, "`extra <base64>`"))
        });
        let extra = extra.transpose()?;
        let (line, text) = lines.next().unwrap_or((2, ""));
        let index = text.strip_prefix("index ").and_then(decimal::parse);
        let index = index.ok_or_else(|| wrong(line, "`index <number>`"))?;
        let mut hashes = Vec::new();
        for (line, text) in lines {
            let hash = parse_hash(text).filter(|_| hashes.len() < MAX_HASHES);
            hashes.push(hash.ok_or_else(|| wrong(line, "a hash, of 64 at most"))?);
        }
        Ok(Self { extra, index, hashes, seal: SignedSeal::parse_extended(seal)? })
    }

    /// Checks that the entry with this leaf hash is what the seal's tree has there. The caller has to
    /// have verified the seal.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify(&self, leaf: &TreeHash) -> Result<(), ProofError> {
        let sealed = self.seal.seal();
        let hashes = self.hashes.clone();
        let proof = InclusionProof { index: self.index, size: sealed.size, hashes };
        proof.verify(leaf, &sealed.root)
    }
}

/// A hash on a line of its own: 32 bytes in base64.
pub(crate) fn parse_hash(line: &str) -> Option<TreeHash> {
    let bytes = BASE64.decode(line.as_bytes()).ok()?;
    bytes.try_into().ok().map(TreeHash::from_bytes)
}

impl fmt::Display for TlogProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{FORMAT}")?;
        if let Some(extra) = &self.extra {
            writeln!(formatter, "extra {}", BASE64.encode(extra))?;
        }
        writeln!(formatter, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(formatter, "{}", BASE64.encode(hash.as_bytes()))?;
        }
        write!(formatter, "\n{}", self.seal)
    }
}
