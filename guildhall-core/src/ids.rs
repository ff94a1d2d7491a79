//! Identifiers and counters, each its own type so that none can stand in for another.
//!
//! Ids are UUIDs, written lower-case with hyphens and read back only in that form (DESIGN
//! section 3), so that one id has one spelling. Counters start at 1 and stay below 2^53, so that
//! every JSON reader sees them exactly (RFC 7493, section 2.2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Why a text is not an id in Guildhall's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a lower-case, hyphenated UUID")]
pub struct IdError {
    /// The text that was found, cut to 64 characters.
    pub found: String,
}

fn parse_uuid(text: &str) -> Result<Uuid, IdError> {
    // `Uuid` also reads upper case, braces and URNs; one id must have one spelling.
    let is_canonical = text.len() == 36 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    match Uuid::try_parse(text) {
        Ok(uuid) if is_canonical => Ok(uuid),
        _ => Err(IdError { found: text.chars().take(64).collect() }),
    }
}

struct IdVisitor;

impl serde::de::Visitor<'_> for IdVisitor {
    type Value = Uuid;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a lower-case, hyphenated UUID")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Uuid, E> {
        parse_uuid(text).map_err(E::custom)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id: UUID version 7 (RFC 9562), so that ids made later sort later.
            #[expect(clippy::disallowed_methods, reason = "ids are where randomness and a clock belong")]
            #[expect(clippy::new_without_default, reason = "a default id would be a random one")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id with exactly this UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_uuid(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(IdVisitor).map(Self)
            }
        }
    };
}

id!(
    /// Names one entry for ever: an append that repeats it is answered, not recorded again.
    EventId
);
id!(
    /// Names one governed artifact.
    ArtifactId
);
id!(
    /// Names one accord: the terms under which artifacts are governed.
    AccordId
);
id!(
    /// Names one ceremony, as the substrate does.
    CeremonyId
);
id!(
    /// Names a stream: the entries of one artifact or of one accord.
    StreamId
);
id!(
    /// Names one process's claim to be the projector (see [`Projector`](crate::Projector)).
    HolderId
);

impl From<ArtifactId> for StreamId {
    fn from(id: ArtifactId) -> Self {
        Self(id.0)
    }
}

impl From<AccordId> for StreamId {
    fn from(id: AccordId) -> Self {
        Self(id.0)
    }
}

/// What is not a counter's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CounterError {
    /// The number is one that no counter reaches.
    #[error("{found} is above 2^53 - 1")]
    TooLarge {
        /// The number.
        found: u64,
    },
    /// The text is not a number in decimal digits, or one of more than 64 bits.
    #[error("{found:?} is not a number from 0 to 2^53 - 1")]
    NotANumber {
        /// The text, cut to 64 characters.
        found: String,
    },
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Before the first: nothing yet.
            pub const ZERO: Self = Self(0);
            /// The first.
            pub const FIRST: Self = Self(1);
            /// The largest that every JSON reader sees exactly: 2^53 - 1.
            pub const MAX: Self = Self((1 << 53) - 1);

            /// The counter with this value. A 32-bit number always is one; a longer one is for
            /// `try_from`, which refuses what no counter reaches.
            pub const fn new(value: u32) -> Self {
                // `From` is not const; widening loses nothing.
                Self(value as u64)
            }

            /// The value.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The value as SQL's 64-bit integers hold it.
            pub const fn as_i64(self) -> i64 {
                self.0.cast_signed()
            }

            /// The counter that a SQL column holds, or nothing where it is negative or too large.
            pub const fn from_i64(value: i64) -> Option<Self> {
                if value < 0 || value > Self::MAX.as_i64() { None } else { Some(Self(value.cast_unsigned())) }
            }

            /// The one after this; none after [`MAX`](Self::MAX).
            #[must_use]
            pub const fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            /// The one that many after this; none beyond [`MAX`](Self::MAX).
            #[must_use]
            pub const fn checked_add(self, count: u64) -> Option<Self> {
                if count <= Self::MAX.0 - self.0 { Some(Self(self.0 + count)) } else { None }
            }

            /// The one before this, and [`ZERO`](Self::ZERO) before the first.
            #[must_use]
            pub const fn previous(self) -> Self {
                self.saturating_sub(1)
            }

            /// The one that many before this, and [`ZERO`](Self::ZERO) before the first.
            #[must_use]
            pub const fn saturating_sub(self, count: u64) -> Self {
                Self(self.0.saturating_sub(count))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                u64::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
            }
        }

        impl TryFrom<u64> for $name {
            type Error = CounterError;

            fn try_from(found: u64) -> Result<Self, CounterError> {
                if found > Self::MAX.0 { Err(CounterError::TooLarge { found }) } else { Ok(Self(found)) }
            }
        }

        impl FromStr for $name {
            type Err = CounterError;

            fn from_str(text: &str) -> Result<Self, CounterError> {
                let number: u64 = text.parse().map_err(|_| CounterError::NotANumber {
                    found: text.chars().take(64).collect(),
                })?;
                number.try_into()
            }
        }
    };
}

counter!(
    /// Where an entry stands in the Chronicle: 1, 2, 3 … with no gap. [`Position::ZERO`] is before
    /// the first entry.
    Position
);
counter!(
    /// Where an entry stands in its stream: 1, 2, 3 … with no gap. [`Version::ZERO`] is an empty
    /// stream.
    Version
);
counter!(
    /// Where a link stands in its custody chain: 1, 2, 3 … with no gap.
    Seq
);
counter!(
    /// Which of an artifact's contents: 1 is the registration's, 2 that of its first revision, and so on.
    Revision
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = "0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b";
        assert_eq!(text.parse::<EventId>().unwrap().to_string(), text);
        for other in [
            "0193A1B2-C3D4-7E5F-8A6B-7C8D9E0F1A2B",
            "0193a1b2c3d47e5f8a6b7c8d9e0f1a2b",
            "{0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b}",
            "urn:uuid:0193a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
            "",
        ] {
            assert!(other.parse::<EventId>().is_err(), "{other}");
        }
    }

    #[test]
    fn new_ids_are_version_7_and_ordered() {
        let ids: Vec<_> = (0..100).map(|_| EventId::new()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.as_uuid().get_version_num() == 7));
    }

    #[test]
    fn counters_stay_within_what_json_holds() {
        assert!(serde_json::from_str::<Position>("9007199254740992").is_err());
        assert!(serde_json::from_str::<Position>("-1").is_err());
        assert_eq!(Position::from_i64(-1), None);
        let beyond = Position::MAX.get() + 1;
        assert_eq!(Position::try_from(beyond), Err(CounterError::TooLarge { found: beyond }));
        assert_eq!(Position::try_from(beyond - 1), Ok(Position::MAX));
        assert_eq!("9007199254740991".parse(), Ok(Position::MAX));
        let refused = ["9007199254740992", "18446744073709551616", "-1", "1.0", ""];
        assert!(refused.iter().all(|text| text.parse::<Position>().is_err()));
        assert_eq!(Position::new(u32::MAX).get(), u64::from(u32::MAX));
        assert_eq!((Position::MAX.next(), Position::ZERO.next()), (None, Some(Position::FIRST)));
        assert_eq!(Position::ZERO.previous(), Position::ZERO);
        assert_eq!(Position::FIRST.checked_add(Position::MAX.get()), None);
        assert_eq!(Position::ZERO.checked_add(Position::MAX.get()), Some(Position::MAX));
        assert_eq!(Position::FIRST.checked_add(u64::MAX), None);
        assert_eq!(Position::new(7).saturating_sub(9), Position::ZERO);
    }
}
