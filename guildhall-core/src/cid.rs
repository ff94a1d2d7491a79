//! Content addresses and hashes.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::json::Json;

/// What precedes the digest in every CID here: version 1, codec `raw` (0x55), hash `sha2-256`
/// (0x12) of 32 bytes.
const PREFIX: [u8; 4] = [0x01, 0x55, 0x12, 0x20];

/// The content address of a JSON content: CIDv1, codec `raw`, sha2-256 over the canonical JSON
/// (RFC 8785), multibase base32 (`b…`, 59 characters). Formats: the CID and multiformats
/// specifications.
///
/// ```
/// use guildhall_core::{Cid, Json};
///
/// let content = Json::parse(r#"{ "a": 1.0 }"#)?;
/// let cid = Cid::of(&content);
/// assert_eq!(cid.to_string(), "bafkreiablk6x6xgfpiw5ss3vsdyevwaiijzzaxxdh3c45pvomitwvf7ymi");
/// # Ok::<(), guildhall_core::JsonError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid([u8; 32]);

/// Why a text is not a [`Cid`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is not a CIDv1 of codec raw and hash sha2-256 in lower-case base32 (bafkrei…, 59 characters)"
)]
pub struct CidError {
    /// The text, cut to 80 characters.
    pub found: String,
}

impl Cid {
    /// The CID of a content.
    pub fn of(content: &Json) -> Self {
        Self(Sha256::digest(content.as_str().as_bytes()).into())
    }

    /// The CID whose sha2-256 digest is this.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The sha2-256 digest that the CID carries.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 59 characters, without allocating.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; 59]) -> &'b str {
        let mut bytes = [0u8; 36];
        bytes[..4].copy_from_slice(&PREFIX);
        bytes[4..].copy_from_slice(&self.0);
        buffer[0] = b'b';
        BASE32_NOPAD.encode_mut(&bytes, &mut buffer[1..]);
        buffer[1..].make_ascii_lowercase();
        // Base32 is ASCII.
        std::str::from_utf8(buffer).unwrap_or_default()
    }
}

impl FromStr for Cid {
    type Err = CidError;

    fn from_str(text: &str) -> Result<Self, CidError> {
        fn digest(text: &str) -> Option<[u8; 32]> {
            let mut upper: [u8; 59] = text.as_bytes().try_into().ok()?;
            if upper[0] != b'b' || upper.iter().any(u8::is_ascii_uppercase) {
                return None;
            }
            upper.make_ascii_uppercase();
            let mut bytes = [0u8; 36];
            let length = BASE32_NOPAD.decode_mut(&upper[1..], &mut bytes).ok()?;
            (length == 36 && bytes[..4] == PREFIX).then(|| bytes[4..].try_into().ok())?
        }
        digest(text).map(Self).ok_or_else(|| CidError { found: text.chars().take(80).collect() })
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.encode(&mut [0; 59]))
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cid({self})")
    }
}

macro_rules! text_serde {
    ($name:ident, $size:literal, $expecting:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.encode(&mut [0; $size]))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Visitor)
            }
        }
    };
}

text_serde!(Cid, 59, "a CID");

/// Why a text is not a hash in Guildhall's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not 64 lower-case hex digits")]
pub struct HashError {
    /// The text, cut to 80 characters.
    pub found: String,
}

macro_rules! hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The hash of these 32 bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The 64 hex digits, without allocating.
            pub fn encode<'b>(&self, buffer: &'b mut [u8; 64]) -> &'b str {
                HEXLOWER.encode_mut(&self.0, buffer);
                // Hex digits are ASCII.
                std::str::from_utf8(buffer).unwrap_or_default()
            }
        }

        impl FromStr for $name {
            type Err = HashError;

            fn from_str(text: &str) -> Result<Self, HashError> {
                let mut bytes = [0u8; 32];
                match HEXLOWER.decode_len(text.len()) {
                    Ok(32) if HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).is_ok() => Ok(Self(bytes)),
                    _ => Err(HashError { found: text.chars().take(80).collect() }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.encode(&mut [0; 64]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self)
            }
        }

        text_serde!($name, 64, "64 lower-case hex digits");
    };
}

hash!(
    /// The hash of one link of a custody chain: SHA-256, 32 bytes; 64 hex digits in JSON.
    LinkHash
);
hash!(
    /// The hash of one entry as an RFC 6962 leaf: SHA-256, 32 bytes; 64 hex digits in JSON.
    LeafHash
);
hash!(
    /// The hash of a node of an RFC 6962 Merkle tree, a root among them: SHA-256, 32 bytes; 64 hex
    /// digits in JSON. The lowest nodes are leaves.
    TreeHash
);

impl From<LeafHash> for TreeHash {
    fn from(leaf: LeafHash) -> Self {
        Self(*leaf.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use multihash_codetable::MultihashDigest;

    use super::*;

    proptest::proptest! {
        #[test]
        fn agrees_with_the_cid_crate(number in proptest::prelude::any::<u32>()) {
            let content = Json::parse(&format!(r#"{{"n":{number}}}"#)).unwrap();
            let theirs = cid::Cid::new_v1(
                0x55,
                multihash_codetable::Code::Sha2_256.digest(content.as_str().as_bytes()),
            );
            let ours = Cid::of(&content);
            proptest::prop_assert_eq!(ours.to_string(), theirs.to_string());
            proptest::prop_assert_eq!(ours.to_string().parse::<Cid>().unwrap(), ours);
        }
    }

    #[test]
    fn other_cids_are_refused() {
        for text in [
            "",
            "bafkrei",
            "BAFKREIABLK6X6XGFPIW5SS3VSDYEVWAIIJZZAXXDH3C45PVOMITWVF7YMI",
            // dag-pb instead of raw, then CIDv0.
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
            "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG",
            // The last character carries a bit beyond the digest.
            "bafkreiablk6x6xgfpiw5ss3vsdyevwaiijzzaxxdh3c45pvomitwvf7ymj",
        ] {
            assert!(text.parse::<Cid>().is_err(), "{text}");
        }
    }
}
