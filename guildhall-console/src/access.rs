//! Who may look: which hosts, which peers, which token.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Who may look at the console.
#[derive(Clone)]
#[non_exhaustive]
pub enum Access {
    /// Whoever is on this machine. The Host header has to name a loopback address, so that no page
    /// of another site can ask in its visitor's name (DNS rebinding). Whoever connects can write
    /// that header, so where they connect from matters: [`serve`](crate::serve) binds to loopback
    /// alone; a router that is mounted looks at the peer's address where the server tells it
    /// (axum's [`ConnectInfo`](axum::extract::ConnectInfo) of a [`SocketAddr`]), and otherwise leaves it to the embedder to
    /// listen on loopback. Behind a proxy on this machine everyone is on this machine: take a token.
    Loopback,
    /// Whoever has the token, as `Authorization: Bearer`, or as the password of Basic
    /// authentication, for which browsers ask; the user name does not matter.
    Token {
        /// The token; make it at least 16 random bytes.
        token: String,
        /// The hosts by which the console is reached, without a port; IPv6 addresses with or
        /// without brackets. Others are refused.
        hosts: Vec<String>,
    },
    /// Whoever the embedder's own layer lets through.
    Embedder {
        /// The hosts by which the console is reached, without a port; IPv6 addresses with or
        /// without brackets. Others are refused.
        hosts: Vec<String>,
    },
}

impl std::fmt::Debug for Access {
    /// Without the token.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Loopback => formatter.write_str("Loopback"),
            Self::Token { hosts, .. } => {
                formatter.debug_struct("Token").field("hosts", hosts).finish_non_exhaustive()
            }
            Self::Embedder { hosts } => {
                formatter.debug_struct("Embedder").field("hosts", hosts).finish()
            }
        }
    }
}

impl Access {
    pub(crate) fn lets_host(&self, host: &str) -> bool {
        match self {
            Self::Loopback => is_loopback(host),
            Self::Token { hosts, .. } | Self::Embedder { hosts } => {
                let host = unbracketed(host);
                hosts.iter().any(|known| unbracketed(known).eq_ignore_ascii_case(host))
            }
        }
    }

    pub(crate) fn lets_peer(&self, peer: SocketAddr) -> bool {
        match self {
            Self::Loopback => peer.ip().to_canonical().is_loopback(),
            Self::Token { .. } | Self::Embedder { .. } => true,
        }
    }

    pub(crate) fn lets_bearer(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Loopback | Self::Embedder { .. } => true,
            Self::Token { token, .. } => presented(headers).is_some_and(|found| {
                // Hashes have one length, so the comparison does not tell the token's.
                let (found, expected) = (Sha256::digest(found), Sha256::digest(token));
                !token.is_empty() && bool::from(found.as_slice().ct_eq(expected.as_slice()))
            }),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || unbracketed(host).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A host without the brackets that an IPv6 address has in a header.
fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The token that a request presents.
fn presented(headers: &HeaderMap) -> Option<Vec<u8>> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.trim().as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64.decode(credentials.trim().as_bytes()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_token_is_taken_as_bearer_or_as_the_password_and_no_other_is() {
        let token = "s3cret:token".to_owned();
        let access = Access::Token { token, hosts: Vec::new() };
        let basic = |text: &str| format!("Basic {}", BASE64.encode(text.as_bytes()));
        for (value, is_let) in [
            ("Bearer s3cret:token".to_owned(), true),
            ("bearer s3cret:token".to_owned(), true),
            (basic("anyone:s3cret:token"), true),
            (basic(":s3cret:token"), true),
            (basic("s3cret:token"), false),
            ("Bearer s3cret:toke".to_owned(), false),
            ("Bearer ".to_owned(), false),
            ("s3cret:token".to_owned(), false),
            ("Digest s3cret:token".to_owned(), false),
            ("Basic !".to_owned(), false),
        ] {
            assert_eq!(access.lets_bearer(&with(header::AUTHORIZATION, &value)), is_let, "{value}");
        }
        assert!(!access.lets_bearer(&HeaderMap::new()));
        let open = Access::Token { token: String::new(), hosts: Vec::new() };
        assert!(!open.lets_bearer(&with(header::AUTHORIZATION, "Bearer ")));
        assert!(!format!("{access:?}").contains("s3cret"));
    }
}
