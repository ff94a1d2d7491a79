//! Which witness, and where: its submission prefix, and the key that it cosigns with.

use std::fmt;
use std::str::FromStr;

use guildhall_proof::policy::Policy;
use guildhall_proof::witness::ADD_CHECKPOINT;
use guildhall_proof::{KeyError, KeyType, VerifierKey};
use hyper::Uri;

/// A witness: its submission prefix and its key, written `URL=VKEY`.
///
/// ```
/// use guildhall_proof::{KeyType, Signer, SigningKey};
/// use guildhall_witness::WitnessAddress;
///
/// let key = SigningKey::from_seed("w.example".parse()?, KeyType::Cosignature, &[1; 32])?;
/// let text = format!("https://w.example/guildhall={}", key.key());
/// let witness: WitnessAddress = text.parse()?;
/// assert_eq!(witness.key(), key.key());
/// assert_eq!(witness.to_string(), text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessAddress {
    /// Without a slash at its end.
    prefix: String,
    add_checkpoint: Uri,
    key: VerifierKey,
}

/// Why a text does not name a witness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It does not have that form.
    #[error("write URL=VKEY: where the witness is, and its public key")]
    Form,
    /// The URL is not valid, or not HTTP.
    #[error("{found:?} is not an https:// or http:// URL without user, query and fragment")]
    Url {
        /// The URL, cut to 200 characters.
        found: String,
    },
    /// The key is not valid.
    #[error("the witness's key: {0}")]
    Key(#[from] KeyError),
    /// The key is a log's.
    #[error("the key {name} is a log's, and a witness's is of type 0x04")]
    LogKey {
        /// The key's name.
        name: String,
    },
    /// A policy names a witness without a URL.
    #[error("the policy does not say where the witness {name} is")]
    NoUrl {
        /// What the policy calls it.
        name: String,
    },
}

impl WitnessAddress {
    /// The witness of this submission prefix and key.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn new(url: &str, key: VerifierKey) -> Result<Self, AddressError> {
        if key.key_type() != KeyType::Cosignature {
            return Err(AddressError::LogKey { name: key.name().to_string() });
        }
        let bad = || AddressError::Url { found: url.chars().take(200).collect() };
        let prefix = url.trim_end_matches('/').to_owned();
        let add_checkpoint: Uri =
            format!("{prefix}/{ADD_CHECKPOINT}").parse().map_err(|_| bad())?;
        let is_http = matches!(add_checkpoint.scheme_str(), Some("https" | "http"));
        let has_host = add_checkpoint
            .authority()
            .is_some_and(|of| !of.host().is_empty() && !of.as_str().contains('@'));
        if !is_http || !has_host || url.contains(['?', '#']) {
            return Err(bad());
        }
        Ok(Self { prefix, add_checkpoint, key })
    }

    /// The witnesses of a policy (C2SP tlog-policy), all of which have to have a URL.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn of_policy(policy: &Policy) -> Result<Vec<Self>, AddressError> {
        let address = |witness: &guildhall_proof::policy::PolicyWitness| {
            let url = witness.url.as_deref().ok_or_else(|| AddressError::NoUrl {
                name: String::from_utf8_lossy(&witness.name).into_owned(),
            })?;
            Self::new(&String::from_utf8_lossy(url), witness.key.clone())
        };
        policy.witnesses().iter().map(address).collect()
    }

    /// Its key.
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Its submission prefix, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.prefix
    }

    pub(crate) const fn add_checkpoint(&self) -> &Uri {
        &self.add_checkpoint
    }
}

impl FromStr for WitnessAddress {
    type Err = AddressError;

    /// Both halves may contain `=`, but a key states its own id: the second half begins where a key parses.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut wrong = AddressError::Form;
        for (at, _) in text.match_indices('=') {
            match text[at + 1..].parse() {
                Ok(key) => return Self::new(&text[..at], key),
                Err(error) => wrong = AddressError::Key(error),
            }
        }
        Err(wrong)
    }
}

impl fmt::Display for WitnessAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.prefix, self.key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use guildhall_proof::{Signer as _, SigningKey};

    use super::*;

    fn key(name: &str, key_type: KeyType) -> VerifierKey {
        let key = SigningKey::from_seed(name.parse().unwrap(), key_type, &[1; 32]).unwrap();
        key.key().clone()
    }

    #[test]
    fn what_names_a_witness() {
        let witness = key("w=1.example", KeyType::Cosignature);
        let log = key("log.example", KeyType::Ed25519);
        for (url, expected) in [
            ("https://w.example", "https://w.example/add-checkpoint"),
            ("https://w.example/", "https://w.example/add-checkpoint"),
            ("http://127.0.0.1:80/a=b/", "http://127.0.0.1:80/a=b/add-checkpoint"),
        ] {
            let found: WitnessAddress = format!("{url}={witness}").parse().unwrap();
            assert_eq!(
                (found.key(), found.add_checkpoint().to_string().as_str()),
                (&witness, expected)
            );
        }
        for url in [
            "",
            "w.example",
            "ftp://w.example",
            "https://",
            "https://me@w.example",
            "/w",
            "https://w/?a",
            "https://w/#a",
            "https://w e",
        ] {
            let found = format!("{url}={witness}").parse::<WitnessAddress>();
            assert!(matches!(found, Err(AddressError::Url { .. })), "{url}: {found:?}");
        }
        let found = format!("https://w.example={log}").parse::<WitnessAddress>();
        assert!(matches!(found, Err(AddressError::LogKey { .. })), "{found:?}");
        let found = "https://w.example=w.example+00000000+BAAA".parse::<WitnessAddress>();
        assert!(matches!(found, Err(AddressError::Key(_))), "{found:?}");
        assert_eq!("https://w.example".parse::<WitnessAddress>(), Err(AddressError::Form));
    }

    #[test]
    fn the_witnesses_of_a_policy_say_where_they_are() {
        let witness = key("w.example", KeyType::Cosignature);
        let read =
            |text: String| WitnessAddress::of_policy(&Policy::parse(text.as_bytes()).unwrap());
        let found = read(format!("witness w {witness} https://w.example/\nquorum w\n")).unwrap();
        assert_eq!(found, [WitnessAddress::new("https://w.example", witness.clone()).unwrap()]);
        let found = read(format!("witness w {witness}\nquorum w\n"));
        assert_eq!(found, Err(AddressError::NoUrl { name: "w".to_owned() }));
    }
}
