//! The routes, and the parameters that each of them takes.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any, get};

use guildhall_core::{
    AccordQuery, ArtifactQuery, ChangeQuery, DeploymentQuery, PeriodQuery, PostureQuery,
    TimelineQuery, VerificationQuery,
};

use crate::api::past;
use crate::app::{App, Shared};
use crate::error::RequestError;
use crate::params::{self, Names};
use crate::{api, assets, export, feed, health, live, pages, proof, search};

/// The routes under the path of an application.
pub(crate) fn under(app: &Arc<App>) -> Router<Shared> {
    let base = &app.base;
    let mut routes = Router::new();
    for (path, route) in routes_of() {
        routes = routes.route(&format!("{base}{path}"), route);
    }
    if base.is_empty() {
        return routes.route("/api/v1/{*rest}", any(missing));
    }
    let dashboard = routes.route(base, route(pages::dashboard::page, &[&MOMENT]));
    dashboard.route(&format!("{base}/{{*rest}}"), any(missing))
}

/// What machines ask of a process that shows no pages.
pub(crate) fn probes() -> Router<Shared> {
    Router::new()
        .route("/healthz", route(health::healthz, &[]))
        .route("/readyz", route(health::readyz_of_feeds, &[]))
        .route("/metrics", route(health::metrics, &[]))
}

/// What no route answers.
pub(crate) async fn missing() -> RequestError {
    RequestError::Missing("page")
}

/// A route that takes these parameters and no others.
fn route<T: 'static>(handler: impl Handler<T, Shared>, names: Names) -> MethodRouter<Shared> {
    let check = move |request: Request, next: Next| async move {
        match params::check(request.uri().query(), names) {
            Ok(()) => next.run(request).await,
            Err(error) => error.into_response(),
        }
    };
    get(handler).layer(from_fn(check))
}

/// The words of a list without those of its pages, which come last: a file has all of them.
const fn without_page(words: &'static [&'static str]) -> &'static [&'static str] {
    words.split_at(words.len() - 2).0
}

/// The moment that is asked about, beside the words of a question.
const MOMENT: [&str; 1] = ["as_of"];

/// The page that is asked for, of a question that has none of its own.
const PAGE: [&str; 2] = ["after", "limit"];

macro_rules! routes {
    ($($path:literal $names:expr $(, $more:expr)* => $handler:expr;)+) => {
        /// Every path, in the form of OpenAPI.
        pub(crate) const PATHS: &[&str] = &[$($path),+];

        fn routes_of() -> Vec<(&'static str, MethodRouter<Shared>)> {
            vec![$(($path, route($handler, const { &[&$names as &[&str] $(, &$more as &[&str])*] }))),+]
        }

        /// The parameters that a path takes.
        #[cfg(test)]
        fn names_of() -> Vec<(&'static str, Names)> {
            vec![$(($path, const { &[&$names as &[&str] $(, &$more as &[&str])*] } as Names)),+]
        }
    };
}

routes! {
    "/" [], MOMENT => pages::dashboard::page;
    "/changes" ChangeQuery::WORDS, MOMENT => pages::changes::page;
    "/changes.atom" ["artifact", "limit"] => feed::atom;
    "/changes.json" ["artifact", "limit"] => feed::json;
    "/ceremonies" ["open_after", "closed_after"], MOMENT => pages::ceremonies::page;
    "/ceremonies/{id}" ["after"], MOMENT => pages::ceremony::page;
    "/artifacts" ArtifactQuery::WORDS, MOMENT => pages::artifacts::page;
    "/artifacts/{id}" ["links", "targets_after"], TimelineQuery::WORDS, MOMENT => pages::artifact::page;
    "/artifacts/{id}/evidence.json" [] => proof::evidence;
    "/deployments" DeploymentQuery::WORDS, MOMENT => pages::deployments::page;
    "/verifications" VerificationQuery::WORDS, MOMENT => pages::verifications::page;
    "/posture" PostureQuery::WORDS, MOMENT => pages::posture::page;
    "/accords" AccordQuery::WORDS, MOMENT => pages::accords::page;
    "/accords/{id}" [], MOMENT => pages::accord::page;
    "/quarantine" ["after"], MOMENT => pages::quarantine::page;
    "/quarantine/{position}" [], MOMENT => pages::log::quarantined;
    "/log/{position}" [], MOMENT => pages::log::position;
    "/log/{position}/entry.tlog-proof" [] => proof::entry;
    "/proof" ["after"], MOMENT => proof::page;
    "/search" ["q"], MOMENT => pages::search::page;
    "/assets/{name}" ["v"] => assets::asset;
    "/events" ["topic"] => live::events;
    "/healthz" [] => health::healthz;
    "/readyz" [] => health::readyz;
    "/metrics" [] => health::metrics;
    "/api/v1/openapi.json" [] => api::openapi;
    "/api/v1/overview" [], MOMENT => api::overview;
    "/api/v1/status" [] => api::status;
    "/api/v1/search" ["q"] => search::search;
    "/api/v1/accords" AccordQuery::WORDS, MOMENT => api::accords;
    "/api/v1/accords.csv" without_page(&AccordQuery::WORDS), MOMENT => export::accords;
    "/api/v1/artifacts" ArtifactQuery::WORDS, MOMENT => api::artifacts;
    "/api/v1/artifacts.csv" without_page(&ArtifactQuery::WORDS), MOMENT => export::artifacts;
    "/api/v1/artifacts/{id}" [], MOMENT => api::artifact;
    "/api/v1/artifacts/{id}/due" [], MOMENT => api::due;
    "/api/v1/overdue" [], MOMENT => api::overdue;
    "/api/v1/artifacts/{id}/chain" PAGE, MOMENT => api::chain;
    "/api/v1/artifacts/{id}/revisions" PAGE, MOMENT => past::revisions;
    "/api/v1/artifacts/{id}/revisions/{revision}" [] => past::revision;
    "/api/v1/artifacts/{id}/diff" ["before", "after"] => past::diff;
    "/api/v1/artifacts/{id}/timeline" TimelineQuery::WORDS, MOMENT => past::timeline;
    "/api/v1/artifacts/{id}/timeline.csv" without_page(&TimelineQuery::WORDS), MOMENT => export::timeline;
    "/api/v1/artifacts/{id}/decided" ["target"], MOMENT => past::decided;
    "/api/v1/changes" ChangeQuery::WORDS => past::changes;
    "/api/v1/accords/{id}" [], MOMENT => api::accord;
    "/api/v1/ceremonies" ["actor"], PAGE, MOMENT => past::ceremonies;
    "/api/v1/ceremonies/{id}" PAGE, MOMENT => api::ceremony;
    "/api/v1/ceremonies/open" PAGE, MOMENT => api::open_ceremonies;
    "/api/v1/ceremonies/closed" PAGE, MOMENT => api::closed_ceremonies;
    "/api/v1/deployments" DeploymentQuery::WORDS, MOMENT => api::deployments;
    "/api/v1/deployments.csv" without_page(&DeploymentQuery::WORDS), MOMENT => export::deployments;
    "/api/v1/deployments/health" PeriodQuery::WORDS, MOMENT => past::health_times;
    "/api/v1/deployments/drifts" PeriodQuery::WORDS, MOMENT => past::drifts;
    "/api/v1/deployments/recovery" without_page(&PeriodQuery::WORDS), MOMENT => past::recovery;
    "/api/v1/posture" PostureQuery::WORDS, PAGE, MOMENT => past::posture;
    "/api/v1/verifications" VerificationQuery::WORDS, MOMENT => api::verifications;
    "/api/v1/verifications.csv" without_page(&VerificationQuery::WORDS), MOMENT => export::verifications;
    "/api/v1/quarantine" PAGE, MOMENT => api::quarantined;
    "/api/v1/quarantine/{position}" [] => api::quarantined_at;
    "/api/v1/log/{position}" [] => api::entry;
    "/api/v1/seals" [], PAGE => proof::seals;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_names_the_parameters_that_are_taken() {
        let document: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
        for (path, names) in names_of() {
            if path.starts_with("/assets") {
                continue;
            }
            let described = document["paths"][path]["get"]["parameters"].as_array();
            let described = described.into_iter().flatten().filter(|it| it["in"] == "query");
            let described: BTreeSet<_> = described.map(|it| it["name"].as_str().unwrap()).collect();
            assert_eq!(described, names.iter().copied().flatten().copied().collect(), "{path}");
        }
    }
}
