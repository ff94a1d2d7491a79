//! What stands before every route: it refuses who may not look and what no handler should have to
//! refuse, renders what went wrong, and tells browsers what to refuse.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::Access;
use crate::app::{App, Shared};
use crate::error::RequestError;
use crate::pages;

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

/// The form of errors where a request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// To a person.
    Page,
    /// To a machine.
    Json,
}

impl Form {
    fn at(app: &App, path: &str) -> Self {
        let path = path.strip_prefix(&app.base).unwrap_or(path);
        let is_for_machines = path.starts_with("/api/")
            || ["/events", "/healthz", "/readyz", "/metrics", "/changes.atom", "/changes.json"]
                .contains(&path);
        if is_for_machines { Self::Json } else { Self::Page }
    }
}

pub(crate) async fn guard(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let form = Form::at(&app, request.uri().path());
    let mut response = match refusal(&app.access, &request) {
        Some(refusal) => refused(refusal, form),
        None => {
            let query = request.uri().query().map(str::to_owned);
            told(&app, next.run(request).await, form, query.as_deref()).await
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Who may not look is shown no page.
fn refused(Refusal { status, reason, header }: Refusal, form: Form) -> Response {
    let mut response = match form {
        Form::Json => RequestError::Refused { status, reason: reason.to_owned() }.to_json(),
        Form::Page => (status, format!("{reason}\n")).into_response(),
    };
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A response as it is, or what went wrong in the form that is spoken there.
async fn told(app: &Shared, mut response: Response, form: Form, query: Option<&str>) -> Response {
    let error = match response.extensions_mut().remove::<RequestError>() {
        Some(error) => error,
        // What the framework refuses by itself.
        None if form == Form::Json && is_refusal_of_framework(&response) => {
            let status = response.status();
            let reason = status.canonical_reason().unwrap_or("refused").to_lowercase();
            RequestError::Refused { status, reason }
        }
        None => return response,
    };
    error.log();
    let rendered = match form {
        Form::Json => error.to_json(),
        Form::Page => pages::failure(app, query, &error).await.into_response(),
    };
    let (parts, body) = rendered.into_parts();
    *response.status_mut() = error.status();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().extend(parts.headers);
    *response.body_mut() = body;
    response
}

fn is_refusal_of_framework(response: &Response) -> bool {
    let is_failure = response.status().is_client_error() || response.status().is_server_error();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    is_failure && content_type.is_none_or(|it| it != "application/json")
}

/// Why a request is not looked at.
struct Refusal {
    status: StatusCode,
    reason: &'static str,
    header: Option<(HeaderName, &'static str)>,
}

fn refusal(access: &Access, request: &Request) -> Option<Refusal> {
    let refusal = |status, reason| Some(Refusal { status, reason, header: None });
    let hosts = request.headers().get_all(header::HOST);
    if hosts.iter().count() > 1 {
        return refusal(StatusCode::BAD_REQUEST, "there is more than one Host header");
    }
    // A request may name its host in its target as well: HTTP/2 does, and so does what is meant for a proxy.
    let header = hosts.iter().next().map(|host| host.to_str().unwrap_or_default());
    let target = request.uri().authority().map(|authority| authority.as_str());
    let mut named = header.into_iter().chain(target).peekable();
    if named.peek().is_none() || !named.all(|it| host_of(it).is_some_and(|it| access.lets_host(it)))
    {
        let reason = "the Host header names no host of this console";
        return refusal(StatusCode::MISDIRECTED_REQUEST, reason);
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if peer.is_some_and(|ConnectInfo(peer)| !access.lets_peer(*peer)) {
        return refusal(StatusCode::FORBIDDEN, "this console is for its own machine");
    }
    if !access.lets_bearer(request.headers()) {
        let challenge = (header::WWW_AUTHENTICATE, r#"Basic realm="Guildhall", charset="UTF-8""#);
        let (status, reason) = (StatusCode::UNAUTHORIZED, "a token is needed");
        return Some(Refusal { status, reason, header: Some(challenge) });
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = (header::ALLOW, "GET, HEAD");
        let (status, reason) = (StatusCode::METHOD_NOT_ALLOWED, "it only reads");
        return Some(Refusal { status, reason, header: Some(allow) });
    }
    None
}

/// The host of an authority, without its port; nothing where what follows the host is not a port.
fn host_of(authority: &str) -> Option<&str> {
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority[after_address..].find(':') else { return Some(authority) };
    let (host, port) = authority.split_at(after_address + colon);
    port[1..].bytes().all(|byte| byte.is_ascii_digit()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("localhost:", true),
            ("localhost:80@evil.example", false),
            ("localhost@evil.example", false),
            ("evil.example@localhost", false),
            ("user:80@localhost:80", false),
            ("localhost:80:80", false),
            ("localhost:80/evil.example", false),
            ("[::1]:80@evil.example", false),
            ("[::1]evil.example", false),
        ] {
            let found = host_of(host).is_some_and(|host| Access::Loopback.lets_host(host));
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
                let found = host_of(host).is_some_and(|host| named(&[known]).lets_host(host));
                assert_eq!(found, is_let, "{host} where {known} is known");
            }
        }
    }
}
