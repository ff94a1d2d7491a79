//! What stands in the place of the proof of the log in a console that is built without it.

use axum::response::Response;
use guildhall_core::{ArtifactId, Position};
use maud::{Markup, html};

use crate::error::RequestError;
use crate::pages::{Place, heading, nothing, shown, whole};
use crate::standing::Standing;
use crate::view::View;

const WITHOUT: RequestError = RequestError::Without("the feature `proof`");

pub(crate) async fn page(view: View) -> Result<Response, RequestError> {
    let standing = Standing::load(&view.app).await?;
    let content = html! {
        (heading(&html! { "Proof" }, &html! {}))
        div.panel { (nothing("This console was built without the feature “proof”, and shows no seals.")) }
    };
    Ok(shown(whole(&view, Place::Proof, "Proof", Some(&standing), &content)))
}

pub(crate) async fn seals() -> RequestError {
    WITHOUT
}

pub(crate) async fn evidence() -> RequestError {
    WITHOUT
}

pub(crate) async fn entry() -> RequestError {
    WITHOUT
}

pub(crate) async fn of_artifact(_: &View, _: ArtifactId) -> Markup {
    html! {}
}

pub(crate) async fn of_entry(_: &View, _: Position) -> Markup {
    html! {}
}
