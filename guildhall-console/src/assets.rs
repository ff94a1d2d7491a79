//! The three files that pages load.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::error::RequestError;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset {
        name: "console.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("../assets/console.css"),
    },
    Asset {
        name: "console.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("../assets/console.js"),
    },
    Asset {
        name: "icon.svg",
        content_type: "image/svg+xml",
        text: include_str!("../assets/icon.svg"),
    },
];

/// Names the three as they are now, so that a browser may keep them.
pub(crate) fn version() -> String {
    let mut hash = Sha256::new();
    for asset in &ASSETS {
        hash.update(asset.text);
    }
    HEXLOWER.encode(&hash.finalize()[..6])
}

pub(crate) async fn asset(
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, RequestError> {
    let missing = RequestError::Missing("file");
    let Ok(Path(name)) = path else { return Err(missing) };
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => {
            let headers = [
                (header::CONTENT_TYPE, asset.content_type),
                (header::CACHE_CONTROL, "private, max-age=86400"),
            ];
            Ok((headers, asset.text).into_response())
        }
        None => Err(missing),
    }
}
