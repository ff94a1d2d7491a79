//! Who may look: the Host header, the token, and what browsers are told to refuse.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::console::Shared;
use crate::params;

/// Who may look at the console.
#[derive(Clone)]
#[non_exhaustive]
pub enum Access {
    /// Whoever is on this machine. The Host header has to name a loopback address, so that no page
    /// of another site can ask in its visitor's name (DNS rebinding). Whoever connects can write
    /// that header, so where they connect from matters: [`serve`](crate::serve) binds to loopback
    /// alone; a router that is mounted looks at the peer's address where the server tells it
    /// (axum's [`ConnectInfo`] of a [`SocketAddr`]), and otherwise leaves it to the embedder to
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
    fn lets_host(&self, host: &str) -> bool {
        match self {
            Self::Loopback => is_loopback(host),
            Self::Token { hosts, .. } | Self::Embedder { hosts } => {
                let host = unbracketed(host);
                hosts.iter().any(|known| unbracketed(known).eq_ignore_ascii_case(host))
            }
        }
    }

    fn lets_peer(&self, peer: SocketAddr) -> bool {
        match self {
            Self::Loopback => peer.ip().to_canonical().is_loopback(),
            Self::Token { .. } | Self::Embedder { .. } => true,
        }
    }

    fn lets_bearer(&self, headers: &HeaderMap) -> bool {
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

/// The Host header without its port.
fn host_of(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let after_address = host.rfind(']').map_or(0, |at| at + 1);
    let port = host[after_address..].rfind(':').map(|at| at + after_address);
    Some(port.map_or(host, |at| &host[..at]))
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

/// Nothing inline, nothing from elsewhere, in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Refuses who may not look and what no handler should have to, and tells browsers what to refuse.
pub(crate) async fn guard(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let unreadable = params::check(request.uri().query());
    let mut response = match (refusal(&app.access, &request), unreadable) {
        (Some(refusal), _) => refusal,
        (None, Err(error)) => error.into_answer(&app, request.uri()),
        (None, Ok(())) => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn refusal(access: &Access, request: &Request<Body>) -> Option<Response> {
    // HTTP/2 has the host in the request's target.
    let host = host_of(request.headers()).or_else(|| request.uri().host());
    if !host.is_some_and(|host| access.lets_host(host)) {
        let message = "the Host header names no host of this console\n";
        return Some((StatusCode::MISDIRECTED_REQUEST, message).into_response());
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if peer.is_some_and(|ConnectInfo(peer)| !access.lets_peer(*peer)) {
        let message = "this console is for its own machine\n";
        return Some((StatusCode::FORBIDDEN, message).into_response());
    }
    if !access.lets_bearer(request.headers()) {
        let challenge = [(header::WWW_AUTHENTICATE, r#"Basic realm="Guildhall", charset="UTF-8""#)];
        return Some((StatusCode::UNAUTHORIZED, challenge, "a token is needed\n").into_response());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, "GET, HEAD")];
        return Some((StatusCode::METHOD_NOT_ALLOWED, allow, "it only reads\n").into_response());
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn loopback_hosts_are_told_from_others_that_resolve_to_them() {
        for (host, is_let) in [
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("127.0.0.1:1", true),
            ("127.1.2.3", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("localhost.evil.example", false),
            ("evil.example:80", false),
            ("127.0.0.1.nip.io", false),
            ("10.0.0.1", false),
            ("", false),
        ] {
            let headers = with(header::HOST, host);
            let found = host_of(&headers).is_some_and(|host| Access::Loopback.lets_host(host));
            assert_eq!(found, is_let, "{host:?}");
        }
    }

    #[test]
    fn an_ipv6_host_is_known_with_or_without_brackets() {
        let named = |hosts: &[&str]| Access::Embedder {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        };
        for known in ["2001:db8::1", "[2001:DB8::1]"] {
            for (host, is_let) in [
                ("[2001:db8::1]:7177", true),
                ("[2001:db8::1]", true),
                ("[2001:db8::2]:7177", false),
                ("2001:db8::1]", false),
            ] {
                let headers = with(header::HOST, host);
                let found = host_of(&headers).is_some_and(|host| named(&[known]).lets_host(host));
                assert_eq!(found, is_let, "{host} where {known} is known");
            }
        }
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
