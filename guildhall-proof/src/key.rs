//! Keys, by the names and in the texts of C2SP signed-note: what checks a signature, and what makes
//! one.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::ed25519::signature::Signer as _;
use ed25519_dalek::{Signature, VerifyingKey};
use guildhall_core::Origin;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The name of a key: not empty, without Unicode spaces, plus signs and control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Box<str>);

/// A text that cannot name a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} cannot name a key: a key's name is not empty and has no space, no plus sign and no \
     control character; give the key a name of its own"
)]
pub struct KeyNameError {
    /// The text, cut to 64 characters.
    pub found: String,
}

impl KeyName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        let is_odd = |char: char| char.is_whitespace() || char < ' ' || char == '+';
        if text.is_empty() || text.contains(is_odd) {
            Err(KeyNameError { found: text.chars().take(64).collect() })
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl TryFrom<&Origin> for KeyName {
    type Error = KeyNameError;

    /// The name that the key of a Chronicle has, unless it was given one of its own.
    fn try_from(origin: &Origin) -> Result<Self, KeyNameError> {
        origin.as_str().parse()
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// The first four bytes of a hash of a key and its name: tells keys of one name apart, and proves
/// nothing. Written as eight lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// What a key signs. Both are Ed25519 (RFC 8032), with keys of 32 bytes and signatures of 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// A note's text as it is (0x01): a log's own key.
    Ed25519,
    /// A seal together with a time (0x04, C2SP tlog-cosignature): a witness's key.
    Cosignature,
}

impl KeyType {
    /// The byte that stands for it.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::Cosignature),
            _ => None,
        }
    }
}

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not of the form of a key. What was found is not repeated: it may be secret.
    #[error("not of the form {expected}")]
    Form {
        /// The form.
        expected: &'static str,
    },
    /// Its name cannot be one.
    #[error(transparent)]
    Name(#[from] KeyNameError),
    /// Its type is not known here.
    #[error("a key of type 0x{found:02x}, where 0x01 (Ed25519) and 0x04 (cosignature) are known")]
    Type {
        /// The type's byte.
        found: u8,
    },
    /// Its bytes are not an Ed25519 key, or are one that any signature would fit.
    #[error("the 32 bytes are not a sound Ed25519 key")]
    Bytes,
    /// It does not have the id that it states: a character was mistaken, or it was renamed.
    #[error("the key states the id {found} and has the id {expected}")]
    Id {
        /// What it states.
        found: KeyId,
        /// What its name and bytes give.
        expected: KeyId,
    },
}

const VERIFIER_FORM: &str = "<name>+<8 hex digits>+<base64 of type and public key>";
const SIGNER_FORM: &str = "PRIVATE+KEY+<name>+<8 hex digits>+<base64 of type and seed>";

/// What stands in the text of either kind of key: its name, id and type, and the key itself.
type Parts = (KeyName, KeyId, KeyType, Zeroizing<[u8; 32]>);

/// What stands in the text of either kind of key after its prefix. What was read is cleared when it is
/// dropped: it may be secret.
fn split(text: &str, expected: &'static str) -> Result<Parts, KeyError> {
    let form = KeyError::Form { expected };
    let (name, rest) = text.split_once('+').ok_or_else(|| form.clone())?;
    let (id, data) = rest.split_once('+').ok_or_else(|| form.clone())?;
    let id = HEXLOWER.decode(id.as_bytes()).ok().and_then(|id| id.try_into().ok());
    let data = BASE64.decode(data.as_bytes()).ok().map(Zeroizing::new);
    let (id, data) = id.zip(data).ok_or_else(|| form.clone())?;
    let (&found, bytes) = data.split_first().ok_or_else(|| form.clone())?;
    let key_type = KeyType::from_byte(found).ok_or(KeyError::Type { found })?;
    let bytes = bytes.try_into().map(Zeroizing::new).map_err(|_| form)?;
    Ok((name.parse()?, KeyId(id), key_type, bytes))
}

/// A public key: the *vkey* of C2SP signed-note, `<name>+<id>+<base64>`.
///
/// ```
/// use guildhall_proof::VerifierKey;
///
/// let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
/// let key: VerifierKey = text.parse()?;
/// assert_eq!(key.name().as_str(), "example.com/foo");
/// assert_eq!(key.to_string(), text);
/// # Ok::<(), guildhall_proof::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    key_type: KeyType,
    key: VerifyingKey,
}

impl VerifierKey {
    /// The key of this name, type and public key (RFC 8032).
    ///
    /// # Errors
    /// [`KeyError::Bytes`].
    pub fn new(name: KeyName, key_type: KeyType, public: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(public).map_err(|_| KeyError::Bytes)?;
        if key.is_weak() {
            return Err(KeyError::Bytes);
        }
        let mut hasher = Sha256::new_with_prefix(name.as_str());
        hasher.update([b'\n', key_type.byte()]);
        hasher.update(public);
        let [a, b, c, d, ..] = <[u8; 32]>::from(hasher.finalize());
        Ok(Self { name, id: KeyId([a, b, c, d]), key_type, key })
    }

    /// Its name.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its id.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// What it signs.
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The public key itself, 32 bytes.
    pub fn public(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether this is its signature of these bytes. Of signatures that Ed25519 implementations
    /// judge differently (of points of small order), none is.
    pub(crate) fn is_signature_of(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, found, key_type, public) = split(text, VERIFIER_FORM)?;
        let key = Self::new(name, key_type, &public)?;
        if key.id == found { Ok(key) } else { Err(KeyError::Id { found, expected: key.id }) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = encode_key(self.key_type, self.public());
        write!(formatter, "{}+{}+{}", self.name, self.id, *data)
    }
}

fn encode_key(key_type: KeyType, bytes: &[u8; 32]) -> Zeroizing<String> {
    let mut data = Zeroizing::new([key_type.byte(); 33]);
    data[1..].copy_from_slice(bytes);
    Zeroizing::new(BASE64.encode(data.as_slice()))
}

/// A signer that did not sign.
#[derive(Debug, thiserror::Error)]
#[error("the signer did not sign")]
pub struct SignerError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl SignerError {
    /// The error with this cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// What signs: a key held by this process ([`SigningKey`]), or one that never leaves what holds it
/// (a key management service, a hardware module).
///
/// Callers check each signature against [`key`](Self::key) before using it.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The public half.
    fn key(&self) -> &VerifierKey;

    /// The Ed25519 signature (RFC 8032, not prehashed) of these bytes.
    ///
    /// # Errors
    /// [`SignerError`]; asking again is harmless.
    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError>;
}

/// A private key in memory, which is cleared when it is dropped.
///
/// The seed comes from the caller, who has a source of randomness; so does the text, from a file that
/// nobody else can read.
#[derive(Clone)]
pub struct SigningKey {
    secret: ed25519_dalek::SigningKey,
    key: VerifierKey,
}

impl SigningKey {
    /// The key of this name and type that is derived from 32 random bytes (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// [`KeyError::Bytes`], which no seed is known to give.
    pub fn from_seed(name: KeyName, key_type: KeyType, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let key = VerifierKey::new(name, key_type, secret.verifying_key().as_bytes())?;
        Ok(Self { secret, key })
    }

    /// The text to keep: `PRIVATE+KEY+<name>+<id>+<base64>`, the form of Go's `note` package. Whoever
    /// has it can sign. It is cleared when it is dropped.
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let data = encode_key(self.key.key_type, self.secret.as_bytes());
        let public = format!("PRIVATE+KEY+{}+{}+", self.key.name, self.key.id);
        // Of this length from the beginning: what has to grow leaves a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(public.len() + data.len()));
        text.push_str(&public);
        text.push_str(&data);
        text
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let form = KeyError::Form { expected: SIGNER_FORM };
        let rest = text.strip_prefix("PRIVATE+KEY+").ok_or(form)?;
        let (name, found, key_type, seed) = split(rest, SIGNER_FORM)?;
        let key = Self::from_seed(name, key_type, &seed)?;
        let expected = key.key.id;
        if expected == found { Ok(key) } else { Err(KeyError::Id { found, expected }) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("key", &self.key).finish_non_exhaustive()
    }
}

#[async_trait]
impl Signer for SigningKey {
    fn key(&self) -> &VerifierKey {
        &self.key
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        Ok(self.secret.sign(message).to_bytes())
    }
}
