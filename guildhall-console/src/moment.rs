//! The moment that a request is about.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use guildhall_core::{AsOf, OpsDb, Position, StoreError, Timestamp};

use crate::app::{App, Shared};
use crate::error::RequestError;
use crate::params::Params;

/// The Ops DB at the moment that `as_of` names; as it is where none is named.
pub(crate) struct Then {
    pub(crate) ops_db: Arc<dyn OpsDb>,
    as_of: Option<AsOf>,
}

impl FromRequestParts<Shared> for Then {
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, RequestError> {
        let as_of = Params::parse(parts.uri.query()).one::<AsOf>("as_of")?;
        let ops_db = match as_of {
            None => Arc::clone(&app.ops_db),
            Some(moment) => app.ops_db.as_of(moment).await?.into(),
        };
        Ok(Self { ops_db, as_of })
    }
}

impl Then {
    /// The time that is meant where none is given: the moment's, or now.
    pub(crate) fn time(&self, app: &App) -> Timestamp {
        match self.as_of {
            Some(AsOf::Time(at)) => at,
            Some(AsOf::Position(_)) | None => app.now(),
        }
    }
}

impl App {
    /// The position that a moment is: at a time, of the last entry that was recorded by then.
    pub(crate) async fn position_of(&self, moment: AsOf) -> Result<Position, StoreError> {
        match moment {
            AsOf::Position(position) => Ok(position),
            AsOf::Time(at) => self.orchestrator.chronicle().position_at(at).await,
        }
    }
}
