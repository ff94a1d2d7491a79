//! Evidence to take away: the same files as the program's, to be checked without a database.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use guildhall_core::Position;
use guildhall_projector::proof::{CollectError, SealedLogError, collect_entry, collect_within};
use tokio::task::spawn_blocking;

use crate::api::{Id, Named};
use crate::app::Shared;
use crate::error::RequestError;

/// How much evidence may weigh here; the program's has no such bound.
const MOST_BYTES: usize = 64 << 20;

/// The evidence of an artifact's whole history (`guildhall.evidence.v1`).
pub(crate) async fn evidence(
    State(app): State<Shared>,
    Named(id): Id,
) -> Result<Response, RequestError> {
    let log = app.proof.log()?;
    let _turn = app.proof.turn.lock().await;
    let collected = collect_within(log, id, &app.policy, MOST_BYTES).await;
    let evidence = collected.map_err(refused)?;
    let text = spawn_blocking(move || evidence.to_text()).await;
    let text = text.map_err(failed)?.map_err(failed)?;
    Ok(attachment(&format!("{id}.evidence.json"), "application/json", text))
}

/// The proof of one entry (C2SP tlog-proof).
pub(crate) async fn entry(
    State(app): State<Shared>,
    Named(position): Named<Position>,
) -> Result<Response, RequestError> {
    let log = app.proof.log()?;
    let _turn = app.proof.turn.lock().await;
    let proof = collect_entry(log, position).await.map_err(refused)?;
    let name = format!("{position}.tlog-proof");
    Ok(attachment(&name, "text/plain; charset=utf-8", proof.to_string()))
}

/// A file of this name, which is letters, digits, dots and hyphens.
fn attachment(name: &str, content_type: &'static str, text: String) -> Response {
    let mut response = ([(header::CONTENT_TYPE, content_type)], text).into_response();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    if let Ok(disposition) = disposition {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// Why there is none. That the log is not what was sealed is told, and not kept back.
fn refused(error: CollectError) -> RequestError {
    let status = match error {
        CollectError::Store(error) | CollectError::Log(SealedLogError::Store(error)) => {
            return RequestError::Store(Arc::new(error));
        }
        CollectError::NeverSealed
        | CollectError::NotSealed { .. }
        | CollectError::NotSealedThere { .. } => StatusCode::NOT_FOUND,
        CollectError::TooLarge { .. } => {
            let reason = format!("{error}: `guildhall evidence` writes it to a file");
            return RequestError::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, reason };
        }
        CollectError::Unsteady => StatusCode::SERVICE_UNAVAILABLE,
        _ => {
            let reason = format!("there is no evidence, verify the log: {error}");
            tracing::error!("{reason}");
            return RequestError::Refused { status: StatusCode::INTERNAL_SERVER_ERROR, reason };
        }
    };
    RequestError::Refused { status, reason: error.to_string() }
}

fn failed(error: impl std::error::Error) -> RequestError {
    tracing::error!(error = &error.to_string(), "evidence could not be written");
    let reason = "the evidence could not be written".to_owned();
    RequestError::Refused { status: StatusCode::INTERNAL_SERVER_ERROR, reason }
}
