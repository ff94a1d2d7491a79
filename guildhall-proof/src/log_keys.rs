//! Which keys may seal a Chronicle, and at which sizes each may: how an auditor knows them after a
//! rotation.

use std::fmt;
use std::str::FromStr;

use guildhall_core::{Origin, OriginError};

use crate::decimal;
use crate::key::{KeyError, KeyId, KeyName, KeyType, VerifierKey};
use crate::note::{Verified, VerifyError};
use crate::seal::SignedSeal;

/// The keys of one log, in a text of their own:
///
/// ```text
/// guildhall.keys.v1
/// origin guildhall/0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b
/// # Rotated in March.
/// key <vkey> 0 184467
/// key <vkey> 184467
/// ```
///
/// A key holds for seals from the first size on, up to the second, which is excluded and may be left
/// out. So a seal made before a rotation stays verifiable, and one that a revoked key makes later
/// is refused. Words are separated by spaces and tabs; empty lines, and lines that begin with `#`,
/// mean nothing.
///
/// ```
/// use guildhall_proof::LogKeys;
///
/// let keys: LogKeys = "guildhall.keys.v1\n\
///     origin example.com/foo\n\
///     key example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k 0\n".parse()?;
/// assert_eq!(keys.keys().len(), 1);
/// # Ok::<(), guildhall_proof::LogKeysError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKeys {
    origin: Origin,
    keys: Vec<LogKey>,
}

/// A key, and the sizes at which it may seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// The key, of type [`Ed25519`](KeyType::Ed25519).
    pub key: VerifierKey,
    /// The least size.
    pub from: u64,
    /// The least size at which it no longer may; none while it may.
    pub until: Option<u64>,
}

impl LogKey {
    /// Whether it may seal at this size.
    pub fn holds_at(&self, size: u64) -> bool {
        self.from <= size && self.until.is_none_or(|until| size < until)
    }
}

/// Why keys cannot be a log's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogKeysError {
    /// The text does not begin with its format and the origin.
    #[error("the first two lines are not `guildhall.keys.v1` and `origin <origin>`")]
    Header,
    /// The origin is not valid.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// A line is of no known form.
    #[error("line {line} is not `key <vkey> <from> [<until>]`")]
    Line {
        /// The line, from 1.
        line: usize,
    },
    /// A key is not valid.
    #[error("line {line}: {reason}")]
    Key {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: KeyError,
    },
    /// A witness's key cannot seal.
    #[error("the key {name} is for cosignatures, and cannot seal")]
    Type {
        /// The key's name.
        name: KeyName,
    },
    /// A key would hold at no size.
    #[error("the key {name} would hold from {from} until {until}: at no size")]
    Never {
        /// The key's name.
        name: KeyName,
        /// Its least size.
        from: u64,
        /// Where it ends.
        until: u64,
    },
    /// One public key is there twice.
    #[error("the keys {name} and {other} are one and the same")]
    Duplicate {
        /// One name.
        name: KeyName,
        /// The other.
        other: KeyName,
    },
    /// There is no key.
    #[error("no key")]
    Empty,
}

/// Why a seal is not this log's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealRefused {
    /// It is another log's.
    #[error("the seal is of {found}, expected {expected}")]
    Origin {
        /// The origin that it states.
        found: Origin,
        /// The log's.
        expected: Origin,
    },
    /// No key of the log signed it, or a signature is wrong.
    #[error(transparent)]
    Signature(#[from] VerifyError),
    /// Only keys that may not seal at that size signed it.
    #[error("the key {name}+{id} may not seal {size} entries")]
    NotAtThisSize {
        /// The first such key's name.
        name: KeyName,
        /// Its id.
        id: KeyId,
        /// The size.
        size: u64,
    },
}

impl LogKeys {
    /// The keys of the log `origin`.
    ///
    /// # Errors
    /// [`LogKeysError`].
    pub fn new(origin: Origin, keys: Vec<LogKey>) -> Result<Self, LogKeysError> {
        for (nth, LogKey { key, from, until }) in keys.iter().enumerate() {
            let name = key.name().clone();
            if key.key_type() != KeyType::Ed25519 {
                return Err(LogKeysError::Type { name });
            }
            if let Some(until) = until.filter(|until| until <= from) {
                return Err(LogKeysError::Never { name, from: *from, until });
            }
            if let Some(same) = keys[..nth].iter().find(|other| other.key.public() == key.public())
            {
                return Err(LogKeysError::Duplicate { name: same.key.name().clone(), other: name });
            }
        }
        if keys.is_empty() { Err(LogKeysError::Empty) } else { Ok(Self { origin, keys }) }
    }

    /// One key, at every size.
    ///
    /// # Errors
    /// [`LogKeysError::Type`].
    pub fn single(origin: Origin, key: VerifierKey) -> Result<Self, LogKeysError> {
        Self::new(origin, vec![LogKey { key, from: 0, until: None }])
    }

    /// The log.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The keys.
    pub fn keys(&self) -> &[LogKey] {
        &self.keys
    }

    /// Checks that the log sealed this, and returns who signed, of the keys that may at that size.
    ///
    /// # Errors
    /// [`SealRefused`].
    pub fn verify(&self, seal: &SignedSeal) -> Result<Vec<Verified<'_>>, SealRefused> {
        let (found, size) = (&seal.seal().origin, seal.seal().size);
        if *found != self.origin {
            return Err(SealRefused::Origin {
                found: found.clone(),
                expected: self.origin.clone(),
            });
        }
        let signed = seal.note().verify(self.keys.iter().map(|known| &known.key))?;
        let may = |verified: &Verified<'_>| {
            self.keys.iter().any(|known| known.key == *verified.key && known.holds_at(size))
        };
        let first = signed.first().map(|verified| verified.key);
        let valid: Vec<_> = signed.into_iter().filter(may).collect();
        match first {
            Some(key) if valid.is_empty() => {
                let (name, id) = (key.name().clone(), key.id());
                Err(SealRefused::NotAtThisSize { name, id, size })
            }
            _ => Ok(valid),
        }
    }
}

impl FromStr for LogKeys {
    type Err = LogKeysError;

    fn from_str(text: &str) -> Result<Self, LogKeysError> {
        let lines =
            text.lines().enumerate().map(|(nth, line)| (nth + 1, line.trim_matches([' ', '\t'])));
        let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        if lines.next().is_none_or(|(_, line)| line != "guildhall.keys.v1") {
            return Err(LogKeysError::Header);
        }
        let origin = lines.next().and_then(|(_, line)| line.strip_prefix("origin "));
        let origin = origin.ok_or(LogKeysError::Header)?.parse()?;
        let mut keys = Vec::new();
        for (line, content) in lines {
            let form = LogKeysError::Line { line };
            let words: Vec<_> =
                content.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            let (key, from, until) = match words[..] {
                ["key", key, from] => (key, from, None),
                ["key", key, from, until] => (key, from, Some(until)),
                _ => return Err(form),
            };
            let key = key.parse().map_err(|reason| LogKeysError::Key { line, reason })?;
            let from = decimal::parse(from).ok_or_else(|| form.clone())?;
            let until = until.map(|until| decimal::parse(until).ok_or(form)).transpose()?;
            keys.push(LogKey { key, from, until });
        }
        Self::new(origin, keys)
    }
}

impl fmt::Display for LogKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "guildhall.keys.v1\norigin {}", self.origin)?;
        for LogKey { key, from, until } in &self.keys {
            match until {
                Some(until) => writeln!(formatter, "key {key} {from} {until}")?,
                None => writeln!(formatter, "key {key} {from}")?,
            }
        }
        Ok(())
    }
}
