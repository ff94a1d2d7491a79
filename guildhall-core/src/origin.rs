//! What names a Chronicle.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{EventId, StreamId};

/// Names a Chronicle for ever: fixed by its first entry, part of every leaf hash, and the `source`
/// of its exported lines. One to 255 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Origin(Arc<str>);

/// A text that cannot name a Chronicle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an origin has 1 to 255 characters and no control character; found {found:?}")]
pub struct OriginError {
    /// The text, cut to 64 characters.
    pub found: String,
}

impl Origin {
    /// A name of its own: `guildhall/<uuid>`.
    pub fn unique() -> Self {
        Self(format!("guildhall/{}", EventId::new()).into())
    }

    /// The stream of this Chronicle's index entries: a UUID of version 8 (RFC 9562) made of the first
    /// 16 bytes of SHA-256(`guildhall.index.v1\n` ‖ origin).
    pub fn index_stream(&self) -> StreamId {
        let mut hasher = Sha256::new_with_prefix("guildhall.index.v1\n");
        hasher.update(self.as_str());
        let hash: [u8; 32] = hasher.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        StreamId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(OriginError { found: text.chars().take(64).collect() })
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_stream_of_the_index_is_given_by_the_origin_alone() {
        // Computed with another program.
        let stream = "guildhall/demo".parse::<Origin>().unwrap().index_stream();
        assert_eq!(stream.to_string(), "0cb3f16f-9e5b-825b-bf11-34d158768b13");
        assert_eq!(stream.as_uuid().get_version_num(), 8);
    }
}
