//! Serving a witness, within limits. Besides what C2SP tlog-witness asks for there are `/healthz` and
//! `/metrics`.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guildhall_core::setters;
use guildhall_http::server::Limits;
use guildhall_proof::witness::{
    ADD_CHECKPOINT, MAX_REQUEST_BYTES, Refusal, RequestError, SIZE_CONTENT_TYPE, monitoring_path,
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::metrics::Counts;
use crate::rate::Rates;
use crate::witness::{AddError, Witness};

/// Beside what the settings say.
const LIMITS: Limits = Limits {
    max_connections: 256,
    head_timeout: Duration::from_secs(30),
    write_timeout: Duration::from_secs(30),
    grace: Duration::from_secs(5),
};

const TEXT: &str = "text/plain; charset=utf-8";

/// How a witness is served.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerSettings {
    /// What the path of each request begins with: the submission prefix and the monitoring prefix both
    /// end with it.
    pub prefix: PathPrefix,
    /// Upper bound on connections open at once; more wait.
    pub max_connections: usize,
    /// How many requests a second one address may send, and ten times as many at once; the next is
    /// answered with 429. 0 is no limit, for a server behind one that has it.
    pub requests_per_second: u32,
    /// How long a client may take for the body of a request.
    pub body_timeout: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            prefix: PathPrefix::default(),
            max_connections: LIMITS.max_connections,
            requests_per_second: 20,
            body_timeout: Duration::from_secs(10),
        }
    }
}

setters!(ServerSettings {
    prefix: PathPrefix,
    max_connections: usize,
    requests_per_second: u32,
    body_timeout: Duration,
});

/// What a path begins with: nothing, or what begins with a slash and does not end with one, as `/w1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathPrefix(String);

/// A text that no path can begin with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a path that begins with a slash and does not end with one, such as /w1, or nothing")]
pub struct PathPrefixError;

impl FromStr for PathPrefix {
    type Err = PathPrefixError;

    fn from_str(text: &str) -> Result<Self, PathPrefixError> {
        let is_path = text.starts_with('/') && !text.ends_with('/');
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%".contains(&byte));
        if text.is_empty() || (is_path && is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PathPrefixError)
        }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why a witness is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be bound.
    #[error("binding {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A witness that is being served.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    app: Arc<App>,
    task: JoinHandle<()>,
}

impl Served {
    /// Where.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A look at whether every log's cosignatures can be kept, for as long as it is wanted.
    pub fn health(&self) -> impl Fn() -> bool + Send + use<> {
        let app = Arc::downgrade(&self.app);
        move || app.upgrade().is_some_and(|app| app.is_healthy())
    }

    /// Waits until it was asked to end and has: nothing is under way any more, and the state can be
    /// taken up by another.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn finished(self) {
        // It does not panic, and nobody aborts it.
        let _ = self.task.await;
        if let Some(app) = Arc::into_inner(self.app) {
            app.witness.shutdown().await;
        }
    }
}

#[derive(Debug)]
struct App {
    witness: Witness,
    prefix: PathPrefix,
    body_timeout: Duration,
    rates: Option<Mutex<Rates>>,
    counts: Counts,
}

/// Serves a witness at this address, until `shutdown` completes.
///
/// # Errors
/// [`ServeError`].
///
/// # Cancel safety
/// Dropped, it serves nothing; once it has returned, it goes on by itself.
pub async fn serve(
    witness: Witness,
    address: SocketAddr,
    settings: ServerSettings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Served, ServeError> {
    let ServerSettings { prefix, max_connections, requests_per_second, body_timeout } = settings;
    let bind = |source| ServeError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let rates = (requests_per_second > 0).then(|| Mutex::new(Rates::new(requests_per_second)));
    let app = Arc::new(App { witness, prefix, body_timeout, rates, counts: Counts::default() });
    let limits = Limits { max_connections, ..LIMITS };
    let serving = Arc::clone(&app);
    let service = move |client| {
        let app = Arc::clone(&serving);
        service_fn(move |request| {
            let app = Arc::clone(&app);
            async move { Ok::<_, Infallible>(app.respond(client, request).await) }
        })
    };
    let task = tokio::spawn(guildhall_http::server::serve(listener, limits, service, shutdown));
    Ok(Served { address, app, task })
}

type Answer = Response<Full<Bytes>>;

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    answer(status, TEXT, body.into())
}

fn with(mut response: Answer, name: HeaderName, value: &'static str) -> Answer {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

impl App {
    async fn respond(&self, peer: IpAddr, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let under = path.strip_prefix(&self.prefix.0).and_then(|path| path.strip_prefix('/'));
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let response = match (path.as_str(), under) {
            ("/healthz", _) if is_read => self.healthz(),
            ("/metrics", _) if is_read => self.metrics(),
            _ if !self.admits(peer) => {
                let response = text(StatusCode::TOO_MANY_REQUESTS, "too many requests\n");
                with(response, RETRY_AFTER, "1")
            }
            (_, Some(ADD_CHECKPOINT)) if *request.method() == Method::POST => {
                self.add_checkpoint(request.into_body()).await
            }
            (_, Some(path)) if is_read && self.latest(path).is_some() => {
                text(StatusCode::OK, self.latest(path).unwrap_or_default())
            }
            ("/healthz" | "/metrics", _) => method_not_allowed("GET, HEAD"),
            (_, Some(ADD_CHECKPOINT)) => method_not_allowed("POST"),
            _ => text(StatusCode::NOT_FOUND, "there is nothing here\n"),
        };
        self.counts.count(response.status());
        response
    }

    fn admits(&self, peer: IpAddr) -> bool {
        let Some(rates) = &self.rates else { return true };
        // Whoever panicked left counts behind that are as good as any.
        let mut rates = rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.admit(peer, Instant::now())
    }

    async fn add_checkpoint(&self, body: Incoming) -> Answer {
        let announced = body.size_hint().lower();
        let body = Limited::new(body, MAX_REQUEST_BYTES).collect();
        let body = match timeout(self.body_timeout, body).await {
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body was not sent in time\n"),
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let found = usize::try_from(announced).unwrap_or(usize::MAX);
                let found = found.max(MAX_REQUEST_BYTES + 1);
                return refused(&Refusal::from(RequestError::TooLong { found }));
            }
            Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "the body broke off\n"),
        };
        match self.witness.add(&body).await {
            Ok(lines) => text(StatusCode::OK, lines),
            Err(AddError::Refused(refusal)) => refused(&refusal),
            Err(error) => {
                let response = text(status(error.status()), format!("{error}\n"));
                with(response, RETRY_AFTER, "1")
            }
        }
    }

    /// The seal that was last cosigned of the log that this path is of.
    fn latest(&self, path: &str) -> Option<String> {
        let mut logs = self.witness.logs();
        let (_, state) = logs.find(|(origin, _)| monitoring_path(origin) == path)?;
        state.latest.map(|seal| seal.to_string())
    }

    fn is_healthy(&self) -> bool {
        self.witness.logs().all(|(_, state)| state.is_kept)
    }

    fn healthz(&self) -> Answer {
        if self.is_healthy() {
            text(StatusCode::OK, "ok\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "the state cannot be written\n")
        }
    }

    fn metrics(&self) -> Answer {
        let body = self.counts.exposition(self.witness.logs());
        answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body)
    }
}

fn method_not_allowed(allowed: &'static str) -> Answer {
    with(text(StatusCode::METHOD_NOT_ALLOWED, "not by this method\n"), ALLOW, allowed)
}

fn refused(refusal: &Refusal) -> Answer {
    let content_type =
        if matches!(refusal, Refusal::Conflict { .. }) { SIZE_CONTENT_TYPE } else { TEXT };
    answer(status(refusal.status()), content_type, refusal.body())
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
