//! Signed notes: a text, an empty line, and signatures of the text (C2SP signed-note).

use std::fmt;

use data_encoding::BASE64;

use crate::key::{KeyId, KeyName, KeyType, Signer, SignerError, VerifierKey};

pub(crate) mod timestamped;

/// How long a note may be, in bytes: room for 100 signatures of any known kind.
pub const MAX_NOTE_BYTES: usize = 1_000_000;

/// How many signatures a note may have.
pub const MAX_SIGNATURES: usize = 100;

/// What a signature line begins with: an em dash and a space.
const LINE_PREFIX: &str = "\u{2014} ";

/// A text with signatures, not yet verified: believe nothing in it until it is.
///
/// ```
/// use guildhall_proof::{Note, VerifierKey};
///
/// let key: VerifierKey =
///     "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse()?;
/// let note = Note::parse(
///     "This is an example message.\n\n\
///      — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
/// )?;
/// assert_eq!(note.verify([&key])?.len(), 1);
/// assert_eq!(note.text(), "This is an example message.\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key that it says it is by.
    pub name: KeyName,
    /// The id of that key.
    pub id: KeyId,
    /// The signature, in the form of that key's type.
    pub bytes: Vec<u8>,
}

/// Why something is not a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// It is too long.
    #[error("a note of {found} bytes, where {MAX_NOTE_BYTES} are the most")]
    TooLong {
        /// How many bytes.
        found: usize,
    },
    /// It is not UTF-8.
    #[error("not UTF-8 after byte {valid_bytes}")]
    NotUtf8 {
        /// How many bytes are.
        valid_bytes: usize,
    },
    /// It holds a control character other than a line feed.
    #[error("the control character 0x{found:02x}")]
    Control {
        /// The character.
        found: u8,
    },
    /// No empty line comes before signatures, or the text does not end with a line feed.
    #[error("no text that ends with a line feed, an empty line and signatures")]
    Form,
    /// There is no signature.
    #[error("no signature")]
    NoSignature,
    /// There are too many signatures.
    #[error("more than {MAX_SIGNATURES} signatures")]
    TooMany,
    /// A line is not a signature.
    #[error("line {line} of the signatures is not `\u{2014} <name> <base64>`")]
    Line {
        /// The line, from 1, counted after the empty one.
        line: usize,
    },
}

/// Why a note is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// None of the known keys signed it.
    #[error("signed by none of the known keys")]
    Unsigned,
    /// A signature states a known key and is not by it.
    #[error("a signature states the key {name}+{id} and is not by it")]
    Invalid {
        /// The key's name.
        name: KeyName,
        /// Its id.
        id: KeyId,
    },
    /// Two known keys have the same name and id: one of them was made to be mistaken for the other.
    #[error("two of the known keys are {name}+{id}")]
    Ambiguous {
        /// The name.
        name: KeyName,
        /// The id.
        id: KeyId,
    },
}

/// A signature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<'k> {
    /// Whose it is.
    pub key: &'k VerifierKey,
    /// When a cosignature says that it was made, in seconds since 1970-01-01T00:00:00Z; none for
    /// a log's own signature.
    pub unix_seconds: Option<u64>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The signer failed.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The signer returned something that its own key does not verify: it holds another key.
    #[error("what the signer returned is not a signature by its key {name}+{id}")]
    NotItsOwn {
        /// The key's name.
        name: KeyName,
        /// Its id.
        id: KeyId,
    },
    /// The key signs something else.
    #[error("the key {name} is of type 0x{found:02x}, and this takes 0x{expected:02x}")]
    Type {
        /// The key's name.
        name: KeyName,
        /// The byte of its type.
        found: u8,
        /// The byte of the type that is asked for.
        expected: u8,
    },
    /// The text cannot stand in a note.
    #[error(transparent)]
    Text(#[from] NoteError),
    /// A cosignature cannot state that time: 0, or beyond 2^63 - 1 seconds.
    #[error("{found} is not a time that a cosignature can state")]
    Time {
        /// In seconds since 1970-01-01T00:00:00Z.
        found: u64,
    },
}

impl Note {
    /// Reads a note, and verifies nothing.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, NoteError> {
        let whole = to_text(bytes.as_ref())?;
        // The last empty line separates; the text may hold others.
        let end = whole.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, lines) = (&whole[..=end], &whole[end + 2..]);
        if lines.is_empty() {
            return Err(NoteError::NoSignature);
        }
        Ok(Self { text: text.to_owned(), signatures: parse_lines(lines)? })
    }

    /// The note of this text, with one signature.
    ///
    /// # Errors
    /// [`SignError`]. The key has to be of type [`Ed25519`](KeyType::Ed25519).
    pub async fn sign(text: impl Into<String>, signer: &dyn Signer) -> Result<Self, SignError> {
        let text = text.into();
        to_text(text.as_bytes())?;
        if !text.ends_with('\n') {
            return Err(NoteError::Form.into());
        }
        let signature = sign(signer, KeyType::Ed25519, text.as_bytes()).await?;
        let signature = NoteSignature::of(signer.key(), signature.to_vec());
        Ok(Self { text, signatures: vec![signature] })
    }

    /// The text, with the line feed that ends it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, as they stand there.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature, unless it is there already.
    ///
    /// # Errors
    /// [`NoteError::TooMany`].
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.contains(&signature) {
            return Ok(());
        }
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::TooMany);
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// The same text under other signatures.
    pub(crate) fn with_signatures(&self, signatures: Vec<NoteSignature>) -> Self {
        Self { text: self.text.clone(), signatures }
    }

    /// The note with the signatures of these keys alone, each once.
    pub(crate) fn signed_by(&self, keys: &[VerifierKey]) -> Result<Self, VerifyError> {
        let verified = self.verify(keys)?;
        let first = |by: &Verified<'_>| {
            self.signatures.iter().find(|signature| signature.is_named(by.key)).cloned()
        };
        Ok(self.with_signatures(verified.iter().filter_map(first).collect()))
    }

    /// Whose of these keys signed the text, each named once. Signatures by other keys are ignored.
    ///
    /// # Errors
    /// [`VerifyError`]; also where one known key signed and the signature of another is wrong.
    pub fn verify<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Vec<Verified<'k>>, VerifyError> {
        let keys: Vec<&VerifierKey> = keys.into_iter().collect();
        let mut verified: Vec<Verified<'k>> = Vec::new();
        for signature in &self.signatures {
            let mut named = keys.iter().filter(|key| signature.is_named(key));
            let Some(key) = named.next() else { continue };
            let (name, id) = (key.name().clone(), key.id());
            if named.any(|other| other != key) {
                return Err(VerifyError::Ambiguous { name, id });
            }
            let unix_seconds =
                signature.check(key, &self.text).ok_or(VerifyError::Invalid { name, id })?;
            if !verified.iter().any(|known| known.key == *key) {
                verified.push(Verified { key, unix_seconds });
            }
        }
        if verified.is_empty() { Err(VerifyError::Unsigned) } else { Ok(verified) }
    }
}

/// The text of a note or of a part of it.
fn to_text(bytes: &[u8]) -> Result<&str, NoteError> {
    if bytes.len() > MAX_NOTE_BYTES {
        return Err(NoteError::TooLong { found: bytes.len() });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| NoteError::NotUtf8 { valid_bytes: error.valid_up_to() })?;
    match bytes.iter().find(|&&byte| byte < 0x20 && byte != b'\n') {
        Some(&found) => Err(NoteError::Control { found }),
        None => Ok(text),
    }
}

/// Reads signature lines, each ended by a line feed, as in a note and in a witness's answer.
///
/// # Errors
/// [`NoteError`].
pub fn parse_signature_lines(bytes: &[u8]) -> Result<Vec<NoteSignature>, NoteError> {
    let lines = to_text(bytes)?;
    if lines.is_empty() { Err(NoteError::NoSignature) } else { parse_lines(lines) }
}

fn parse_lines(lines: &str) -> Result<Vec<NoteSignature>, NoteError> {
    let mut signatures = Vec::new();
    for (nth, line) in lines.split_inclusive('\n').enumerate() {
        if nth == MAX_SIGNATURES {
            return Err(NoteError::TooMany);
        }
        signatures.push(NoteSignature::parse(line).ok_or(NoteError::Line { line: nth + 1 })?);
    }
    Ok(signatures)
}

impl NoteSignature {
    pub(crate) fn of(key: &VerifierKey, bytes: Vec<u8>) -> Self {
        Self { name: key.name().clone(), id: key.id(), bytes }
    }

    /// A line with the line feed that ends it.
    fn parse(line: &str) -> Option<Self> {
        let line = line.strip_suffix('\n')?.strip_prefix(LINE_PREFIX)?;
        let (name, signature) = line.split_once(' ')?;
        let signature = BASE64.decode(signature.as_bytes()).ok()?;
        let (id, bytes) = signature.split_first_chunk::<4>()?;
        let is_empty = bytes.is_empty();
        (!is_empty).then_some(Self {
            name: name.parse().ok()?,
            id: KeyId(*id),
            bytes: bytes.into(),
        })
    }

    /// Whether it states this key.
    /// The time that a cosignature states, in seconds since 1970-01-01T00:00:00Z; none of what has not the
    /// form of one. Nothing is verified: anybody can state anything.
    pub(crate) fn stated_unix_seconds(&self) -> Option<u64> {
        timestamped::split(&self.bytes).map(|(unix_seconds, _)| unix_seconds)
    }

    pub(crate) fn is_named(&self, key: &VerifierKey) -> bool {
        self.name == *key.name() && self.id == key.id()
    }

    /// Whether it is by this key; the time that it states, if its kind states one.
    fn check(&self, key: &VerifierKey, text: &str) -> Option<Option<u64>> {
        match key.key_type() {
            KeyType::Ed25519 => {
                let signature = self.bytes.as_slice().try_into().ok()?;
                key.is_signature_of(text.as_bytes(), signature).then_some(None)
            }
            KeyType::Cosignature => {
                let (unix_seconds, signature) = timestamped::split(&self.bytes)?;
                let message = timestamped::message(unix_seconds, text);
                key.is_signature_of(message.as_bytes(), signature).then_some(Some(unix_seconds))
            }
        }
    }
}

impl fmt::Display for NoteSignature {
    /// The line, without the line feed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signature = [&self.id.0, self.bytes.as_slice()].concat();
        write!(formatter, "{LINE_PREFIX}{} {}", self.name, BASE64.encode(&signature))
    }
}

impl fmt::Display for Note {
    /// The whole note, to the byte.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(formatter, "{signature}"))
    }
}

/// Has a message signed, and takes no signature that the signer's own key does not verify.
pub(crate) async fn sign(
    signer: &dyn Signer,
    expected: KeyType,
    message: &[u8],
) -> Result<[u8; 64], SignError> {
    let key = signer.key();
    let name = key.name().clone();
    if key.key_type() != expected {
        let (found, expected) = (key.key_type().byte(), expected.byte());
        return Err(SignError::Type { name, found, expected });
    }
    let signature = signer.sign(message).await?;
    if key.is_signature_of(message, &signature) {
        Ok(signature)
    } else {
        Err(SignError::NotItsOwn { name, id: key.id() })
    }
}
