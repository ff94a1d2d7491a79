//! What names a Chronicle.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::EventId;

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
