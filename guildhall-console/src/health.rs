//! What machines ask: is it alive, is it ready, what does it measure.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use guildhall_core::terms::Duty;
use guildhall_core::{Overdue, StoreError};
use guildhall_projector::{State as Doing, telemetry};
use serde::Serialize;

use crate::app::{App, Shared};
use crate::error::json;
use crate::standing::Standing;

/// How many entries the Ops DB may be behind the Chronicle and still count as ready.
const READY_LAG: u64 = 10_000;

#[derive(Serialize)]
struct Body {
    ok: bool,
    reason: Option<String>,
    #[serde(flatten)]
    standing: Option<Standing>,
}

fn answer(reason: Option<String>, standing: Option<Standing>) -> Response {
    let ok = reason.is_none();
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, json(&Body { ok, reason, standing })).into_response()
}

/// Whether to let the process go on: not after something failed for good, which only a restart
/// mends.
pub(crate) async fn healthz(State(app): State<Shared>) -> Response {
    let projector = app.projector.as_ref().map(|status| status.borrow().state);
    let is_over = |state: Doing| matches!(state, Doing::Failed | Doing::Stopped);
    let reason = if projector.is_some_and(is_over) {
        Some("the projector has stopped")
    } else if is_over(app.orchestrator.status().state) {
        Some("the orchestrator has stopped")
    } else {
        None
    };
    answer(reason.map(str::to_owned), None)
}

/// Whether what is shown is so: the Ops DB answers, its projector works and is not far behind.
pub(crate) async fn readyz(State(app): State<Shared>) -> Response {
    match Standing::load(&app).await {
        Ok(standing) => answer(unready(&standing), Some(standing)),
        Err(error) => answer(Some(unanswered(&error)), None),
    }
}

/// The same for whoever asks, who learns no more than why not; ready only while every feed listens.
pub(crate) async fn readyz_of_feeds(State(app): State<Shared>) -> Response {
    let reason = match Standing::load(&app).await {
        Ok(standing) => {
            let deaf = standing.feeds.iter().find(|feed| !feed.hears());
            let deaf = deaf.map(|feed| format!("the feed {} does not listen", feed.name));
            unready(&standing).or(deaf)
        }
        Err(error) => Some(unanswered(&error)),
    };
    answer(reason, None)
}

fn unready(standing: &Standing) -> Option<String> {
    if !standing.is_healthy {
        Some(format!("the projector is {}", standing.state))
    } else if !standing.is_live {
        Some("the orchestrator does not follow".to_owned())
    } else if standing.lag > READY_LAG {
        Some(format!("the Ops DB is {} entries behind", standing.lag))
    } else {
        None
    }
}

fn unanswered(error: &StoreError) -> String {
    tracing::warn!(error = error as &dyn std::error::Error, "not ready");
    crate::error::told(error)
}

/// The facts in Prometheus's text format.
pub(crate) async fn metrics(State(app): State<Shared>) -> Response {
    match exposition(&app).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
            .into_response(),
        Err(error) => crate::error::RequestError::from(error).into_response(),
    }
}

/// Writes metrics, each with its kind and what it says.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn metric<'l>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'l str, String)>, f64)>,
    ) {
        // Writing into a text cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let labels: Vec<_> = labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
                .collect();
            let labels =
                if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.metric(name, "gauge", help, [(Vec::new(), value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.metric(name, "counter", help, [(Vec::new(), float(value))]);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floats; counts stay below 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

async fn exposition(app: &App) -> Result<String, StoreError> {
    let standing = Standing::load(app).await?;
    let overview = app.ops_db.overview().await?;
    let overdue = Overdue::load(&*app.ops_db.snapshot().await?, app.now(), 0).await?;
    let follows = app.orchestrator.status();
    let mut text = Exposition::default();
    let at = |value: u64| float(value);
    let yes = |value: bool| f64::from(u8::from(value));
    text.gauge(
        telemetry::POSITION,
        "The last position that the Ops DB has taken in.",
        at(standing.position.get()),
    );
    text.gauge(telemetry::HEAD, "The end of the Chronicle.", at(standing.head.get()));
    text.gauge(telemetry::LAG, "Entries between the two.", at(standing.lag));
    text.gauge(
        telemetry::HEALTHY,
        "Whether the projector does its work.",
        yes(standing.is_healthy),
    );
    if let Some(status) = app.projector.as_ref().map(|status| status.borrow().clone()) {
        text.counter(telemetry::ENTRIES, "Entries applied by this process.", status.entries);
        text.counter(telemetry::QUARANTINED, "Of them, put in quarantine.", status.quarantined);
        text.counter(telemetry::SKIPPED, "Of them, of an unknown type.", status.skipped);
        text.counter(
            telemetry::RESTARTS,
            "Restarts after a failure that may pass.",
            status.restarts,
        );
        text.gauge("guildhall_projector_rate", "Entries applied a second, lately.", status.rate);
    }
    text.gauge(
        "guildhall_orchestrator_live",
        "Whether changes are reported to subscribers.",
        yes(standing.is_live),
    );
    text.gauge(
        "guildhall_orchestrator_subscribers",
        "Subscribers.",
        at(follows.subscribers as u64),
    );
    text.counter(telemetry::NOTICES, "Notices delivered while somebody listened.", follows.notices);
    text.counter(
        telemetry::MISSED,
        "Notices that did not fit a subscriber's queue.",
        follows.missed,
    );
    let steps = follows.feeds.iter().flat_map(|feed| {
        [("recorded", feed.recorded), ("known", feed.known), ("refused", feed.ever_refused)].map(
            |(taken, steps)| {
                (vec![("feed", feed.name.clone()), ("taken", taken.to_owned())], float(steps))
            },
        )
    });
    text.metric(telemetry::STEPS, "counter", "Steps of ceremonies received by a feed.", steps);
    let healthy = follows.feeds.iter();
    let healthy = healthy.map(|feed| (vec![("feed", feed.name.clone())], yes(feed.is_healthy())));
    text.metric("guildhall_feed_healthy", "gauge", "Whether a feed listens.", healthy);
    let tiers = overview.artifacts_by_tier.iter().enumerate();
    let tiers =
        tiers.map(|(tier, artifacts)| (vec![("tier", tier.to_string())], float(*artifacts)));
    text.metric("guildhall_artifacts", "gauge", "Governed artifacts.", tiers);
    let deployments = [
        ("healthy", overview.healthy_deployments),
        ("drifted", overview.drifted_deployments),
        ("unknown", overview.unknown_deployments),
    ];
    let deployments =
        deployments.map(|(health, targets)| (vec![("health", health.to_owned())], float(targets)));
    text.metric(
        "guildhall_deployments",
        "gauge",
        "Targets, by what was last seen there.",
        deployments,
    );
    text.gauge("guildhall_ceremonies_open", "Open ceremonies.", at(overview.open_ceremonies));
    if let Some(opened_at) = overview.oldest_ceremony_opened_at {
        #[expect(clippy::cast_precision_loss, reason = "an age in seconds")]
        let seconds = (app.now().as_micros() - opened_at.as_micros()) as f64 / 1e6;
        text.gauge(
            "guildhall_ceremony_oldest_seconds",
            "How long the oldest has been open.",
            seconds.max(0.0),
        );
    }
    let overdue = [
        (Duty::Verify, overdue.verify),
        (Duty::Mend, overdue.mend),
        (Duty::Review, overdue.review),
    ];
    let overdue = overdue
        .map(|(duty, artifacts)| (vec![("duty", duty.as_str().to_owned())], float(artifacts)));
    text.metric(
        "guildhall_overdue",
        "gauge",
        "Artifacts for which the time that their accord gives has run out.",
        overdue,
    );
    text.gauge("guildhall_quarantined_entries", "Entries in quarantine.", at(overview.quarantined));
    text.gauge(
        "guildhall_console_streams_free",
        "Event streams that may still be opened.",
        at(app.streams.available_permits() as u64),
    );
    Ok(text.0)
}
