//! What went wrong with a request, as a page or as JSON.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use guildhall_core::StoreError;
use serde::Serialize;

use crate::console::App;
use crate::pages;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
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
    /// Too many streams are open.
    #[error("too many event streams are open; try again later")]
    Crowded,
    /// The orchestrator has stopped.
    #[error("live updates have stopped")]
    NotLive,
    /// The Ops DB or the Chronicle failed.
    #[error("the Ops DB did not answer")]
    Store(#[from] StoreError),
}

impl RequestError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::BadParameter { .. } => StatusCode::BAD_REQUEST,
            Self::Crowded | Self::NotLive | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The failure of a store is told here, and not to whoever looks.
    fn log(&self) {
        if let Self::Store(error) = self {
            tracing::error!(error = error as &dyn std::error::Error, "a request failed");
        }
    }

    /// As JSON where that is spoken, else as a page.
    pub(crate) fn into_answer(self, app: &App, uri: &Uri) -> Response {
        let path = uri.path().strip_prefix(&app.base);
        if path.is_some_and(|path| path.starts_with("/api/")) {
            self.into_json()
        } else {
            self.into_page(app)
        }
    }

    pub(crate) fn into_page(self, app: &App) -> Response {
        self.log();
        let page = pages::failure(app, self.status(), &self.to_string());
        (self.status(), page).into_response()
    }

    pub(crate) fn into_json(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        self.log();
        (self.status(), json(&Body { error: self.to_string() })).into_response()
    }
}

/// A value as a JSON response.
pub(crate) fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "an answer is no JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
