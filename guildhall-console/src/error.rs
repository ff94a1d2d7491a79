//! What goes wrong with a request. Handlers answer it as it is; the [guard](crate::guard) renders it.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use guildhall_core::{AsOfError, LogFault, StoreError};
use serde::Serialize;

use crate::params::Names;

/// Why a request has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum RequestError {
    /// The request names nothing that exists.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// A parameter cannot be read.
    #[error("{name}: {reason}")]
    BadParameter {
        /// The parameter.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A parameter is none of those that are taken here.
    #[error("{found:?} is not a parameter of this page: {}", taken(.choices))]
    UnknownParameter {
        /// Its name, cut to 64 characters.
        found: String,
        /// Those that are.
        choices: Names,
    },
    /// Who may not look, or asks for what no route does.
    #[error("{reason}")]
    Refused {
        /// As what.
        status: StatusCode,
        /// Why.
        reason: String,
    },
    /// The console was set up without what it takes.
    #[error("this console was set up without {0}")]
    Without(&'static str),
    /// Too many streams are open.
    #[error("too many event streams are open; try again later")]
    Crowded,
    /// The orchestrator has stopped.
    #[error("live updates have stopped")]
    NotLive,
    /// The Ops DB or the Chronicle failed.
    #[error("{}", told(.0))]
    Store(Arc<StoreError>),
}

fn taken(choices: Names) -> String {
    let choices = choices.concat();
    if choices.is_empty() { "it takes none".to_owned() } else { choices.join(", ") }
}

/// What a reader sees of a store's failure: that the log is not what it was, where it is that,
/// and nothing of the driver's, nor where the file lies. The host's own log has all of it.
pub(crate) fn told(error: &StoreError) -> String {
    match error.log_fault() {
        Some(LogFault::FileReplaced { .. }) => {
            "the log is not what it was: its file was removed or replaced while it was open"
                .to_owned()
        }
        Some(fault) => format!("the log is not what it was: {fault}"),
        None => "the Ops DB did not answer".to_owned(),
    }
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<AsOfError> for RequestError {
    /// A moment that the tables do not know is there once they do.
    fn from(error: AsOfError) -> Self {
        match error {
            AsOfError::Store(error) => error.into(),
            unknown => {
                Self::Refused { status: StatusCode::NOT_FOUND, reason: format!("as_of: {unknown}") }
            }
        }
    }
}

impl RequestError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::BadParameter { .. } | Self::UnknownParameter { .. } => StatusCode::BAD_REQUEST,
            Self::Refused { status, .. } => *status,
            Self::Without(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Crowded | Self::NotLive | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The failure of a store is logged here, and not shown to the reader.
    pub(crate) fn log(&self) {
        if let Self::Store(error) = self {
            tracing::error!(error = &**error as &dyn std::error::Error, "a request failed");
        }
    }

    pub(crate) fn to_json(&self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        (self.status(), json(&Body { error: self.to_string() })).into_response()
    }
}

impl IntoResponse for RequestError {
    /// Without a body: the guard gives it the one that is spoken where it was asked.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A value as a JSON response.
pub(crate) fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a response is not JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
