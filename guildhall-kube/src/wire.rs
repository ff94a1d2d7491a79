//! Asking for pages and lines, and reading them, in bounded memory.
//!
//! An object stays the text it came as: what it holds is judged where it is read, one at a time.

use std::time::Duration;

use futures::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};
use kube::api::{ListParams, VersionMatch, WatchParams};
use kube::core::{Request, Status};
use kube::{Client, Resource as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::ceremony::Ceremony;
use crate::error::WatchError;

/// How long a page may be; of a longer one, half as many objects are asked for.
pub(crate) const MOST_PAGE_BYTES: usize = 32 << 20;

/// How long a line of a watch may be. An API server takes objects of a few MiB at most.
const MOST_LINE_BYTES: usize = 32 << 20;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// In every namespace.
    Everywhere,
    /// In this one.
    Namespace(String),
}

impl Scope {
    fn request(&self) -> Request {
        let namespace = match self {
            Self::Everywhere => None,
            Self::Namespace(namespace) => Some(namespace.as_str()),
        };
        Request::new(Ceremony::url_path(&(), namespace))
    }

    /// Whether it has objects of this namespace.
    pub(crate) fn has(&self, namespace: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Namespace(name) => name == namespace,
        }
    }

    fn doing(&self, verb: &str) -> String {
        match self {
            Self::Everywhere => format!("{verb} ceremonies in all namespaces"),
            Self::Namespace(namespace) => format!("{verb} ceremonies in namespace {namespace}"),
        }
    }
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its objects.
    pub(crate) items: Vec<Box<RawValue>>,
    /// The version of the whole list.
    pub(crate) resource_version: String,
    /// Where the next page begins; none after the last.
    pub(crate) next: Option<String>,
}

#[derive(Deserialize)]
struct ListText {
    metadata: ListMetadata,
    items: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// A line of a watch.
#[derive(Debug)]
pub(crate) enum Line {
    /// An object was added or changed: this is what it is now.
    Is(Box<RawValue>),
    /// An object was deleted: this is what it was.
    Was(Box<RawValue>),
    /// Nothing happened up to this version.
    Bookmark(String),
    /// The watch cannot go on.
    Failed(Box<Status>),
    /// Of a kind that is not known.
    Other,
}

#[derive(Deserialize)]
struct LineText<'t> {
    #[serde(rename = "type")]
    kind: std::borrow::Cow<'t, str>,
    #[serde(borrow)]
    object: &'t RawValue,
}

#[derive(Deserialize)]
struct BookmarkText {
    metadata: ListMetadata,
}

impl Line {
    fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        let LineText { kind, object } = serde_json::from_slice(text)?;
        Ok(match &*kind {
            "ADDED" | "MODIFIED" => Self::Is(object.to_owned()),
            "DELETED" => Self::Was(object.to_owned()),
            "BOOKMARK" => {
                let bookmark: BookmarkText = serde_json::from_str(object.get())?;
                Self::Bookmark(bookmark.metadata.resource_version)
            }
            "ERROR" => Self::Failed(serde_json::from_str(object.get())?),
            _ => Self::Other,
        })
    }
}

/// Asks an API server.
pub(crate) struct Wire {
    client: Client,
    /// How long an answer may take.
    pub(crate) patience: Duration,
    /// How long a watch is to last.
    pub(crate) watch_for: Duration,
    /// How long a watch may tell nothing, not even that nothing happened.
    pub(crate) silence: Duration,
}

impl Wire {
    pub(crate) fn new(client: Client) -> Self {
        let [patience, watch_for, silence] = [30, 290, 150].map(Duration::from_secs);
        Self { client, patience, watch_for, silence }
    }

    /// Asks for a page of at most so many objects, of the present list or of one of this version;
    /// they are halved until it is short enough.
    pub(crate) async fn page(
        &self,
        scope: &Scope,
        version: Option<&str>,
        limit: &mut u32,
        next: Option<String>,
    ) -> Result<Page, WatchError> {
        let doing = scope.doing("listing");
        loop {
            let list = ListParams {
                limit: Some(*limit),
                continue_token: next.clone(),
                resource_version: version.map(str::to_owned),
                version_match: version.map(|_| VersionMatch::Exact),
                ..ListParams::default()
            };
            let answer = self.patiently(&doing, async {
                let body = self.open(&doing, scope.request().list(&list)).await?;
                let (mut body, mut text) = (body.take(MOST_PAGE_BYTES as u64 + 1), Vec::new());
                let broken = |source| WatchError::Broken { doing: doing.clone(), source };
                body.read_to_end(&mut text).await.map_err(broken)?;
                Ok(text)
            });
            let text = answer.await?;
            if text.len() > MOST_PAGE_BYTES {
                if *limit <= 1 {
                    return Err(WatchError::TooLong { doing, most_bytes: MOST_PAGE_BYTES });
                }
                *limit /= 2;
                continue;
            }
            let list: ListText = serde_json::from_slice(&text)
                .map_err(|source| WatchError::Malformed { doing, source })?;
            return Ok(Page {
                items: list.items.unwrap_or_default(),
                resource_version: list.metadata.resource_version,
                next: list.metadata.next.filter(|next| !next.is_empty()),
            });
        }
    }

    /// Begins to watch after a version.
    pub(crate) async fn watch(
        &self,
        scope: &Scope,
        resource_version: &str,
    ) -> Result<Lines<impl AsyncBufRead + Unpin + Send + use<>>, WatchError> {
        let doing = scope.doing("watching");
        let seconds = u32::try_from(self.watch_for.as_secs()).unwrap_or(u32::MAX).max(1);
        let watch = WatchParams::default().timeout(seconds);
        let request = scope.request().watch(&watch, resource_version);
        let body = self.patiently(&doing, self.open(&doing, request)).await?;
        // The API server may end it a little late.
        let silence = self.silence.min(self.watch_for + self.patience);
        Ok(Lines { body, text: Vec::new(), silence, doing })
    }

    async fn patiently<T>(
        &self,
        doing: &str,
        what: impl Future<Output = Result<T, WatchError>>,
    ) -> Result<T, WatchError> {
        let patience = self.patience;
        let unanswered = |_| WatchError::Unanswered { doing: doing.to_owned(), patience };
        timeout(patience, what).await.map_err(unanswered)?
    }

    async fn open(
        &self,
        doing: &str,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<impl AsyncBufRead + Unpin + Send + use<>, WatchError> {
        let failed = |error| WatchError::of(doing, error);
        let mut request = request.map_err(|error| failed(kube::Error::BuildRequest(error)))?;
        // A compressed watch can keep lines back, or end where its first part does.
        let identity = http::HeaderValue::from_static("identity");
        request.headers_mut().insert(http::header::ACCEPT_ENCODING, identity);
        Ok(Box::pin(self.client.request_stream(request).await.map_err(failed)?))
    }
}

/// The lines of a watch.
pub(crate) struct Lines<B> {
    body: B,
    text: Vec<u8>,
    /// How long nothing may come: a watch has ended by then, or its connection is dead.
    silence: Duration,
    /// What is being done.
    pub(crate) doing: String,
}

impl<B: AsyncBufRead + Unpin> Lines<B> {
    /// The next line; none once the watch has ended, wherever its connection was cut: what comes
    /// after the last whole line is reported again.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, WatchError> {
        self.text.clear();
        let most = MOST_LINE_BYTES as u64 + 1;
        let mut body = (&mut self.body).take(most);
        let read = timeout(self.silence, body.read_until(b'\n', &mut self.text)).await;
        if self.text.len() > MOST_LINE_BYTES {
            let doing = self.doing.clone();
            return Err(WatchError::TooLong { doing, most_bytes: MOST_LINE_BYTES });
        }
        match read {
            Ok(Ok(_)) if self.text.ends_with(b"\n") => {}
            Ok(Ok(_)) => return Ok(None),
            Ok(Err(error)) => {
                tracing::debug!(%error, doing = self.doing, "a watch's connection broke");
                return Ok(None);
            }
            Err(_) => {
                tracing::debug!(silence = ?self.silence, doing = self.doing, "a watch is silent");
                return Ok(None);
            }
        }
        let line = Line::read(&self.text);
        // A long line is not to be paid for until the end of the watch.
        self.text.shrink_to(64 << 10);
        line.map(Some).map_err(|source| WatchError::Malformed { doing: self.doing.clone(), source })
    }
}
