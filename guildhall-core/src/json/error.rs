//! Why a text is refused.

use std::fmt;

/// Why a text is not the JSON that Guildhall keeps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is not JSON at all.
    #[error("not JSON: {reason}")]
    Syntax {
        /// What was expected and found, and at which byte.
        reason: String,
    },
    /// An object names one key twice.
    #[error("the key {key:?} stands twice in one object")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// An integer literal that a double cannot hold as written.
    #[error("the integer {literal} would be read as {canonical}; write it as a string")]
    InexactInteger {
        /// The literal.
        literal: String,
        /// What RFC 8785 would print for it.
        canonical: String,
    },
    /// A number beyond the largest double.
    #[error("the number {literal} is too large for a double")]
    NumberOverflow {
        /// The literal, cut to 64 characters.
        literal: String,
    },
    /// A string holds U+0000, which PostgreSQL cannot store.
    #[error("the text at {pointer:?} holds the character U+0000")]
    Nul {
        /// Which string, or the member whose key it is: a JSON Pointer (RFC 6901), such as
        /// `/records/0/name`, cut to 256 characters.
        pointer: String,
    },
    /// A string holds a noncharacter (RFC 7493, section 2.1).
    #[error("the text at {pointer:?} holds the noncharacter U+{code_point:04X}")]
    Noncharacter {
        /// Its code point.
        code_point: u32,
        /// Which string, as of [`Nul`](Self::Nul).
        pointer: String,
    },
    /// Objects and arrays nest too deep.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// How deep they may.
        limit: usize,
    },
    /// The text is not the canonical form of its value.
    #[error("not canonical JSON (RFC 8785) at byte {at}: {reason}")]
    NotCanonical {
        /// The offset of the first byte that differs.
        at: usize,
        /// What RFC 8785 wants there.
        reason: &'static str,
    },
}

pub(crate) fn syntax(error: impl fmt::Display) -> JsonError {
    JsonError::Syntax { reason: error.to_string() }
}
