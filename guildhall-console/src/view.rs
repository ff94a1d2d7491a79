//! What a page is asked, and how it leads on: every link of a page keeps the moment that it is about.

use std::fmt::Display;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use guildhall_core::{AsOf, OpsDb, Position, Timestamp};
use maud::{Markup, html};

use crate::app::Shared;
use crate::error::RequestError;
use crate::moment::{AS_OF, Moment, Then};
use crate::params::Params;
use crate::standing::Standing;

/// A page's request: which parameters, and which moment.
pub(crate) struct View {
    pub(crate) app: Shared,
    /// The Ops DB at the moment; as it is where there is none.
    pub(crate) ops_db: Arc<dyn OpsDb>,
    /// The parameters without the moment.
    pub(crate) params: Params,
    /// What ages are seen from: the moment's time, or now.
    pub(crate) now: Timestamp,
    /// Which moment; none where it is now.
    pub(crate) moment: Option<Moment>,
}

impl FromRequestParts<Shared> for View {
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, RequestError> {
        Self::of(app, Params::parse(parts.uri.query())).await
    }
}

impl View {
    async fn of(app: &Shared, params: Params) -> Result<Self, RequestError> {
        let then = Then::of(app, &params).await?;
        let moment = match then.as_of {
            Some(as_of) => Some(app.moment(as_of).await?),
            None => None,
        };
        let now = moment.map_or_else(|| app.now(), |moment| moment.at);
        let params = params.except(AS_OF);
        Ok(Self { app: Arc::clone(app), ops_db: then.ops_db, params, now, moment })
    }

    /// That of a page about a request that failed: at its moment, where that is one.
    pub(crate) async fn of_failure(app: &Shared, query: Option<&str>) -> Self {
        let params = Params::parse(query);
        match Self::of(app, params.clone()).await {
            Ok(view) => view,
            Err(_) => Self {
                app: Arc::clone(app),
                ops_db: Arc::clone(&app.ops_db),
                params: params.except(AS_OF),
                now: app.now(),
                moment: None,
            },
        }
    }

    /// What rows are drawn with.
    pub(crate) fn seen(&self) -> Seen<'_> {
        Seen { links: self.links(), now: self.now }
    }

    /// How this page leads on.
    pub(crate) fn links(&self) -> Links<'_> {
        Links { base: &self.app.base, as_of: self.moment.map(|moment| moment.as_of) }
    }

    /// Up to which position a page shows what there is, which stands so.
    pub(crate) fn position(&self, standing: &Standing) -> Position {
        self.moment.map_or(standing.position, |moment| moment.position)
    }

    /// Where the projector stands, which is known of now alone.
    pub(crate) fn at_present<'s>(&self, standing: &'s Standing) -> Option<&'s Standing> {
        self.moment.is_none().then_some(standing)
    }

    /// Verdicts from before this were stale then.
    pub(crate) fn stale_before(&self) -> Timestamp {
        let micros = i64::try_from(self.app.stale_after.as_micros()).unwrap_or(i64::MAX);
        let before = self.now.as_micros().saturating_sub(micros);
        Timestamp::from_micros(before).unwrap_or(Timestamp::MIN)
    }
}

/// What rows are drawn with: how they lead on, and what their ages are seen from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'s> {
    pub(crate) links: Links<'s>,
    pub(crate) now: Timestamp,
}

/// How a page leads to others: under the console's path, at the same moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links<'l> {
    pub(crate) base: &'l str,
    pub(crate) as_of: Option<AsOf>,
}

impl Links<'_> {
    /// The address of a path with its query, at the same moment.
    pub(crate) fn to(self, path: impl Display) -> String {
        let address = format!("{}{path}", self.base);
        let Some(moment) = self.as_of else { return address };
        let (address, fragment) = match address.split_once('#') {
            Some((address, fragment)) => (address, format!("#{fragment}")),
            None => (address.as_str(), String::new()),
        };
        let joint = match address.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        let moment = moment.to_string();
        let moment: String = form_urlencoded::byte_serialize(moment.as_bytes()).collect();
        format!("{address}{joint}{AS_OF}={moment}{fragment}")
    }

    /// What a form carries, so that it leads to the same moment.
    pub(crate) fn kept(self) -> Markup {
        html! { @if let Some(moment) = self.as_of { input type="hidden" name=(AS_OF) value=(moment); } }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_link_keeps_the_moment_wherever_it_leads() {
        let at = |moment: Option<&str>| Links {
            base: "/base",
            as_of: moment.map(|moment| moment.parse().unwrap()),
        };
        for (path, now, then) in [
            ("/", "/base/", "/base/?as_of=7"),
            ("/a?", "/base/a?", "/base/a?as_of=7"),
            ("/a?b=c", "/base/a?b=c", "/base/a?b=c&as_of=7"),
            ("/a?b=c#d", "/base/a?b=c#d", "/base/a?b=c&as_of=7#d"),
            ("/a#d", "/base/a#d", "/base/a?as_of=7#d"),
        ] {
            assert_eq!([at(None).to(path), at(Some("7")).to(path)], [now, then]);
        }
        let time = at(Some("2026-11-03T13:00:00+01:00")).to("/a");
        assert_eq!(time, "/base/a?as_of=2026-11-03T12%3A00%3A00.000000Z");
    }
}
