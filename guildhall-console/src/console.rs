//! What a console is made of, and its routes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::handler::Handler;
use axum::http::Uri;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get};
use guildhall_core::{CustodyPolicy, OpsDb, Timestamp};
use guildhall_projector::ceremony::CeremonyOrchestrator;
use guildhall_projector::{Runtime, Status};
use tokio::sync::{Semaphore, watch};

use crate::access::{Access, guard};
use crate::error::RequestError;
use crate::standing::Progress;
use crate::{api, assets, health, live, pages};

/// How many event streams may be open at once, unless set otherwise.
pub const MAX_STREAMS: usize = 128;

/// When the latest verdict on what is deployed is called stale, unless set otherwise.
const STALE_AFTER: Duration = Duration::from_secs(14 * 86_400);

pub(crate) type Shared = Arc<App>;

/// What every request is answered from.
pub(crate) struct App {
    pub(crate) ops_db: Arc<dyn OpsDb>,
    pub(crate) orchestrator: CeremonyOrchestrator,
    pub(crate) projector: Option<watch::Receiver<Status>>,
    pub(crate) policy: CustodyPolicy,
    pub(crate) access: Access,
    /// What every path begins with; empty, or a slash and no slash at its end.
    pub(crate) base: String,
    pub(crate) stale_after: Duration,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) progress: Progress,
    pub(crate) assets: String,
}

impl App {
    /// This host's clock.
    pub(crate) fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(micros).unwrap_or(Timestamp::MAX)
    }

    /// Verdicts from before this are stale.
    pub(crate) fn stale_before(&self) -> Timestamp {
        let micros = i64::try_from(self.stale_after.as_micros()).unwrap_or(i64::MAX);
        let before = self.now().as_micros().saturating_sub(micros);
        Timestamp::from_micros(before).unwrap_or(Timestamp::MIN)
    }
}

/// A console, to be set up and then [served](crate::serve) or [mounted](Self::router).
pub struct Console {
    app: App,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Console")
            .field("access", &self.app.access)
            .field("base", &self.app.base)
            .finish_non_exhaustive()
    }
}

impl Console {
    /// A console over this Ops DB, kept up to date by this orchestrator.
    pub fn new(ops_db: Arc<dyn OpsDb>, orchestrator: CeremonyOrchestrator) -> Self {
        Self {
            app: App {
                ops_db,
                orchestrator,
                projector: None,
                policy: CustodyPolicy::standard(),
                access: Access::Loopback,
                base: String::new(),
                stale_after: STALE_AFTER,
                streams: Arc::new(Semaphore::new(MAX_STREAMS)),
                progress: Progress::default(),
                assets: assets::version(),
            },
        }
    }

    /// The projector of this process, which can say more of itself than its checkpoint does.
    #[must_use]
    pub fn projector(mut self, runtime: &Runtime) -> Self {
        self.app.projector = Some(runtime.watch_status());
        self
    }

    /// The policy that chains are judged by; [`CustodyPolicy::standard`] by default. Give it the
    /// projector's.
    #[must_use]
    pub fn policy(mut self, policy: CustodyPolicy) -> Self {
        self.app.policy = policy;
        self
    }

    /// Who may look; [`Access::Loopback`] by default.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.app.access = access;
        self
    }

    /// The path under which the router answers, such as `/guildhall`, with or without a slash after
    /// it; the root by default.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.app.base = if path.is_empty() { String::new() } else { format!("/{path}") };
        self
    }

    /// From which age the latest verdict on what is deployed needs attention; 14 days by default.
    #[must_use]
    pub fn stale_after(mut self, age: Duration) -> Self {
        self.app.stale_after = age;
        self
    }

    /// How many event streams may be open at once; [`MAX_STREAMS`] by default.
    #[must_use]
    pub fn max_streams(mut self, streams: usize) -> Self {
        self.app.streams = Arc::new(Semaphore::new(streams.min(Semaphore::MAX_PERMITS)));
        self
    }

    pub(crate) fn who_may_look(&self) -> &Access {
        &self.app.access
    }

    /// The routes, guarded as [`access`](Self::access) says. Merge them into an application, as
    /// they are: the path of [`at`](Self::at) is in them already. Under such a path everything is
    /// the console's; what no route of it answers is otherwise left to the application's fallback.
    ///
    /// Event streams have their own limits; connections are the embedder's to limit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use axum::{Router, body::Body, http::Request, middleware, routing::get};
    /// use guildhall_console::{Access, Console};
    /// use guildhall_core::memory::{MemoryChronicle, MemoryOpsDb};
    /// use guildhall_projector::ceremony::CeremonyOrchestrator;
    /// use tower::ServiceExt as _;
    ///
    /// let (chronicle, ops_db) = (Arc::new(MemoryChronicle::new()), Arc::new(MemoryOpsDb::new()));
    /// let orchestrator = CeremonyOrchestrator::new(chronicle, ops_db.clone()).start();
    /// let console = Console::new(ops_db, orchestrator)
    ///     .at("/guildhall")
    ///     .access(Access::Embedder { hosts: vec!["ops.example.org".to_owned()] })
    ///     .router()
    ///     // Here, who is let through is the application's to say.
    ///     .route_layer(middleware::from_fn(|request, next: middleware::Next| next.run(request)));
    /// let application = Router::new().route("/", get(async || "my own")).merge(console);
    ///
    /// let request = Request::get("/guildhall").header("host", "ops.example.org");
    /// let response = application.oneshot(request.body(Body::empty())?).await?;
    /// assert_eq!(response.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn router(self) -> Router {
        let app = Arc::new(self.app);
        let routes = routes_under(&app.base);
        // Not a layer: that would guard the application's fallback as well.
        routes.route_layer(from_fn_with_state(Arc::clone(&app), guard)).with_state(app)
    }

    /// The routes with nothing beside them: what they do not answer is a page that does not exist.
    pub(crate) fn router_alone(self) -> Router {
        let app = Arc::new(self.app);
        let routes = routes_under(&app.base).fallback(missing);
        routes.layer(from_fn_with_state(Arc::clone(&app), guard)).with_state(app)
    }
}

fn routes_under(base: &str) -> Router<Shared> {
    let mut routes = Router::new();
    for (path, route) in routes_of() {
        routes = routes.route(&format!("{base}{path}"), route);
    }
    if base.is_empty() {
        return routes.route("/api/v1/{*rest}", any(missing));
    }
    let dashboard = routes.route(base, get(pages::dashboard::page));
    dashboard.route(&format!("{base}/{{*rest}}"), any(missing))
}

async fn missing(
    axum::extract::State(app): axum::extract::State<Shared>,
    uri: Uri,
) -> axum::response::Response {
    RequestError::Missing("page").into_answer(&app, &uri)
}

macro_rules! routes {
    ($($path:literal => $handler:expr,)+) => {
        /// Every path, in the form of OpenAPI.
        pub(crate) const PATHS: &[&str] = &[$($path),+];

        fn routes_of() -> Vec<(&'static str, MethodRouter<Shared>)> {
            vec![$(($path, route($handler))),+]
        }
    };
}

fn route<T: 'static>(handler: impl Handler<T, Shared>) -> MethodRouter<Shared> {
    get(handler)
}

routes! {
    "/" => pages::dashboard::page,
    "/ceremonies" => pages::ceremonies::page,
    "/artifacts" => pages::artifacts::page,
    "/artifacts/{id}" => pages::artifact::page,
    "/quarantine" => pages::quarantine::page,
    "/assets/{name}" => assets::asset,
    "/events" => live::events,
    "/healthz" => health::healthz,
    "/readyz" => health::readyz,
    "/metrics" => health::metrics,
    "/api/v1/openapi.json" => api::openapi,
    "/api/v1/overview" => api::overview,
    "/api/v1/status" => api::status,
    "/api/v1/accords" => api::accords,
    "/api/v1/artifacts" => api::artifacts,
    "/api/v1/artifacts/{id}" => api::artifact,
    "/api/v1/artifacts/{id}/chain" => api::chain,
    "/api/v1/ceremonies/open" => api::open_ceremonies,
    "/api/v1/ceremonies/closed" => api::closed_ceremonies,
    "/api/v1/deployments" => api::deployments,
    "/api/v1/verifications" => api::verifications,
    "/api/v1/quarantine" => api::quarantined,
}
