//! Why the watcher stops hearing. The orchestrator starts it again after a pause.

use std::time::Duration;

use kube::core::Status;

/// Why the feed of ceremonies is disconnected, for now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The API server was not reached, or the connection broke before it answered.
    #[error("{doing}: the API server is not reached")]
    Unreachable {
        /// What was tried.
        doing: String,
        /// What came in the way.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server took too long.
    #[error("{doing}: no answer within {patience:?}")]
    Unanswered {
        /// What was tried.
        doing: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The API server knows no such resource: the definition in `crds/` is not installed.
    #[error("{doing}: the cluster has no such resource; is its definition installed?")]
    NotInstalled {
        /// What was tried.
        doing: String,
        /// Its words.
        #[source]
        status: Box<Status>,
    },
    /// The API server does not know who asks (401), or there are no credentials to tell it with.
    #[error("{doing}: the API server is not told who asks")]
    Unauthenticated {
        /// What was tried.
        doing: String,
        /// Its words, or what came in the way.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server does not let this account do it (403); `rbac/` has what it needs.
    #[error("{doing}: it is forbidden ({})", .status.code)]
    Forbidden {
        /// What was tried.
        doing: String,
        /// Its words.
        #[source]
        status: Box<Status>,
    },
    /// The API server refused for another reason, such as too much to do (429, 503).
    #[error("{doing}: the API server refuses ({})", .status.code)]
    Refused {
        /// What was tried.
        doing: String,
        /// Its words.
        #[source]
        status: Box<Status>,
    },
    /// What came is not what the API promises.
    #[error("{doing}: the answer cannot be read")]
    Malformed {
        /// What was tried.
        doing: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// One line or page is longer than memory is given for.
    #[error("{doing}: the answer is longer than {most_bytes} bytes")]
    TooLong {
        /// What was tried.
        doing: String,
        /// How long it may be.
        most_bytes: usize,
    },
    /// The connection broke while an answer came.
    #[error("{doing}: the connection broke")]
    Broken {
        /// What was tried.
        doing: String,
        /// How.
        #[source]
        source: std::io::Error,
    },
    /// A watch ended as soon as it had begun, and reported nothing new.
    #[error("{doing}: it ended as soon as it had begun")]
    CutShort {
        /// What was tried.
        doing: String,
    },
}

impl WatchError {
    /// What kube's client says, in our words.
    pub(crate) fn of(doing: &str, error: kube::Error) -> Self {
        let doing = doing.to_owned();
        match error {
            kube::Error::Api(status) => match status.code {
                401 => {
                    let source = Box::new(kube::Error::Api(status));
                    Self::Unauthenticated { doing, source }
                }
                403 => Self::Forbidden { doing, status },
                404 => Self::NotInstalled { doing, status },
                _ => Self::Refused { doing, status },
            },
            source @ kube::Error::Auth(_) => {
                Self::Unauthenticated { doing, source: Box::new(source) }
            }
            other => Self::Unreachable { doing, source: Box::new(other) },
        }
    }

    /// Whether it may come from the version that was watched from, so that a new list helps: the
    /// API server answered, and not for having too much to do.
    pub(crate) fn may_be_the_versions(&self) -> bool {
        match self {
            Self::Refused { status, .. } => !matches!(status.code, 429 | 502..=504),
            Self::Malformed { .. } | Self::TooLong { .. } | Self::CutShort { .. } => true,
            Self::Unreachable { .. }
            | Self::Unanswered { .. }
            | Self::NotInstalled { .. }
            | Self::Unauthenticated { .. }
            | Self::Forbidden { .. }
            | Self::Broken { .. } => false,
        }
    }

    /// Whether what was asked for is there no more, and only a new list helps (410).
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.code == 410)
    }
}
