//! Seals: a Chronicle's size and root, signed (C2SP tlog-checkpoint; *checkpoint* is the
//! projector's word).

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use guildhall_core::{Origin, TreeHash};

use crate::decimal;
use crate::key::{Signer, VerifierKey};
use crate::note::{Note, NoteError, NoteSignature, SignError, VerifyError};

/// What a seal says: the Chronicle `origin` has `size` entries, and the tree over their leaf hashes
/// this root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Seal {
    /// Names the log.
    pub origin: Origin,
    /// How many leaves its tree has.
    pub size: u64,
    /// The root of that tree.
    pub root: TreeHash,
}

/// Why a text is not a seal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// It does not have three lines, each ended by a line feed.
    #[error("not three lines: an origin, a size and a root")]
    Lines,
    /// It has lines after the third, which no leaf of the log vouches for.
    #[error("a line follows the root; a seal has no extension lines")]
    Extended,
    /// The first line is not an origin.
    #[error(transparent)]
    Origin(#[from] guildhall_core::OriginError),
    /// The second line is not a size.
    #[error("{found:?} is not a size: decimal digits without leading zeros")]
    Size {
        /// The line, cut to 32 characters.
        found: String,
    },
    /// The third line is not a root.
    #[error("{found:?} is not a root: 32 bytes in base64")]
    Root {
        /// The line, cut to 64 characters.
        found: String,
    },
}

impl Seal {
    /// Reads the three lines, and the extension lines after them, if any.
    fn read(text: &str) -> Result<(Self, &str), SealError> {
        let mut lines = text.splitn(4, '\n');
        let mut next = || lines.next().ok_or(SealError::Lines);
        let (origin, size, root, rest) = (next()?, next()?, next()?, next()?);
        let cut = |text: &str, most| text.chars().take(most).collect::<String>();
        let origin = origin.parse()?;
        let size = decimal::parse(size).ok_or_else(|| SealError::Size { found: cut(size, 32) })?;
        let root = BASE64
            .decode(root.as_bytes())
            .ok()
            .and_then(|root| root.try_into().ok())
            .ok_or_else(|| SealError::Root { found: cut(root, 64) })?;
        Ok((Self { origin, size, root: TreeHash::from_bytes(root) }, rest))
    }
}

impl FromStr for Seal {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let (seal, rest) = Self::read(text)?;
        if rest.is_empty() { Ok(seal) } else { Err(SealError::Extended) }
    }
}

impl fmt::Display for Seal {
    /// The text that is signed: three lines, each with its line feed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = BASE64.encode(self.root.as_bytes());
        writeln!(formatter, "{}\n{}\n{root}", self.origin, self.size)
    }
}

/// Why nothing was taken from a witness's answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// No known key signed, or a signature that states one is wrong.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The seal has too many signatures.
    #[error(transparent)]
    Full(#[from] NoteError),
}

/// A seal with its signatures, not yet verified: [`LogKeys`](crate::LogKeys) does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedSeal {
    seal: Seal,
    note: Note,
}

impl SignedSeal {
    /// Reads a seal, and verifies nothing.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, SealError> {
        let note = Note::parse(bytes)?;
        let seal = note.text().parse()?;
        Ok(Self { seal, note })
    }

    /// The same for another log's seal, which may have extension lines: they are kept and ignored.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn parse_extended(bytes: impl AsRef<[u8]>) -> Result<Self, SealError> {
        let note = Note::parse(bytes)?;
        let (seal, extension) = Seal::read(note.text())?;
        // The text ends with a line feed, so that the last piece is empty.
        if extension.split_inclusive('\n').any(|line| line == "\n") {
            return Err(SealError::Lines);
        }
        Ok(Self { seal, note })
    }

    /// Signs a seal. The signer has to have checked that it contradicts none signed before.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn sign(seal: Seal, signer: &dyn Signer) -> Result<Self, SignError> {
        let note = Note::sign(seal.to_string(), signer).await?;
        Ok(Self { seal, note })
    }

    /// What it says.
    pub const fn seal(&self) -> &Seal {
        &self.seal
    }

    /// The note as it is.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// The same with the signatures of these keys alone.
    ///
    /// # Errors
    /// [`VerifyError`]: none of them signed, or a signature that states one is wrong.
    pub fn signed_by(&self, keys: &[VerifierKey]) -> Result<Self, VerifyError> {
        let note = self.note.signed_by(keys)?;
        Ok(Self { seal: self.seal.clone(), note })
    }

    /// Takes a witness's answer: of these lines, the signatures of these keys. Returns how many it
    /// took.
    ///
    /// # Errors
    /// [`AcceptError`]; then nothing is taken.
    pub fn accept(
        &mut self,
        lines: Vec<NoteSignature>,
        keys: &[VerifierKey],
    ) -> Result<usize, AcceptError> {
        let answer = self.note.with_signatures(lines).signed_by(keys)?;
        let mut note = self.note.clone();
        for signature in answer.signatures() {
            note.add(signature.clone())?;
        }
        self.note = note;
        Ok(answer.signatures().len())
    }

    /// Adds a signature, a cosignature as a rule, unless it is there already.
    ///
    /// # Errors
    /// [`NoteError::TooMany`].
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        self.note.add(signature)
    }
}

impl fmt::Display for SignedSeal {
    /// The whole note, to the byte.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(formatter)
    }
}
