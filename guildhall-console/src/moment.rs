//! The moment that a request is about.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use guildhall_core::{AsOf, OpsDb, Position, StoreError, Timestamp};

use crate::app::{App, Shared};
use crate::error::RequestError;
use crate::params::Params;

/// The parameter that names a moment.
pub(crate) const AS_OF: &str = "as_of";

/// The Ops DB at the moment that `as_of` names; as it is where none is named.
pub(crate) struct Then {
    pub(crate) ops_db: Arc<dyn OpsDb>,
    pub(crate) as_of: Option<AsOf>,
}

/// A moment on both of its axes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// As it was asked for.
    pub(crate) as_of: AsOf,
    /// How far the log went.
    pub(crate) position: Position,
    /// Its time.
    pub(crate) at: Timestamp,
}

impl FromRequestParts<Shared> for Then {
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, RequestError> {
        Self::of(app, &Params::parse(parts.uri.query())).await
    }
}

impl Then {
    /// The moment that these parameters name.
    pub(crate) async fn of(app: &App, params: &Params) -> Result<Self, RequestError> {
        let as_of = params.one::<AsOf>(AS_OF)?;
        let ops_db = match as_of {
            None => Arc::clone(&app.ops_db),
            Some(moment) => app.ops_db.as_of(moment).await?.into(),
        };
        Ok(Self { ops_db, as_of })
    }

    /// The time that is meant where none is given: the moment's, or now.
    pub(crate) async fn time(&self, app: &App) -> Result<Timestamp, StoreError> {
        match self.as_of {
            Some(moment) => app.time_of(moment).await,
            None => Ok(app.now()),
        }
    }
}

impl App {
    /// A moment on both axes.
    pub(crate) async fn moment(&self, as_of: AsOf) -> Result<Moment, StoreError> {
        let (position, at) = (self.position_of(as_of).await?, self.time_of(as_of).await?);
        Ok(Moment { as_of, position, at })
    }

    /// The position that a moment is: at a time, of the last entry that was recorded by then.
    pub(crate) async fn position_of(&self, moment: AsOf) -> Result<Position, StoreError> {
        match moment {
            AsOf::Position(position) => Ok(position),
            AsOf::Time(at) => self.orchestrator.chronicle().position_at(at).await,
        }
    }

    /// The time that a moment is: at a position, when the entry there was recorded, so that ages
    /// are the same whenever they are looked at.
    async fn time_of(&self, moment: AsOf) -> Result<Timestamp, StoreError> {
        match moment {
            AsOf::Time(at) => Ok(at),
            AsOf::Position(position) => {
                let at = self.orchestrator.chronicle().time_at(position).await?;
                Ok(at.unwrap_or_else(|| self.now()))
            }
        }
    }
}
