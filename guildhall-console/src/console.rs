//! Setting a console up.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use guildhall_core::{CustodyPolicy, OpsDb};
use guildhall_projector::Runtime;
use guildhall_projector::ceremony::CeremonyOrchestrator;
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::app::App;
use crate::guard::guard;
use crate::progress::Progress;
use crate::{assets, routes};

/// How many event streams may be open at once, unless set otherwise.
pub const MAX_STREAMS: usize = 128;

/// When the latest verdict on what is deployed is called stale, unless set otherwise.
const STALE_AFTER: Duration = Duration::from_secs(14 * 86_400);

/// A console, to be set up and then [served](crate::serve) or [mounted](Self::router).
#[must_use = "nobody sees it until it is served or mounted"]
pub struct Console {
    pub(crate) app: App,
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
                #[cfg(feature = "proof")]
                proof: crate::proof::Proof::default(),
                assets: assets::version(),
            },
        }
    }

    /// The projector of this process, which can say more of itself than its checkpoint does.
    pub fn projector(mut self, runtime: &Runtime) -> Self {
        self.app.projector = Some(runtime.watch_status());
        self
    }

    /// The policy that chains are judged by; [`CustodyPolicy::standard`] by default. Give it the
    /// projector's.
    pub fn policy(mut self, policy: CustodyPolicy) -> Self {
        self.app.policy = policy;
        self
    }

    /// The log with its seals, to be shown and to make evidence of: the Chronicle that the orchestrator
    /// follows. Without, pages say that this console has none.
    #[cfg(feature = "proof")]
    pub fn seals(mut self, log: Arc<dyn guildhall_core::Seals>) -> Self {
        self.app.proof.log = Some(log);
        self
    }

    /// The keys and witnesses by which seals are judged; without, no signature is verified.
    #[cfg(feature = "proof")]
    pub fn known(mut self, known: guildhall_proof::verify::Known) -> Self {
        self.app.proof.known = known;
        self
    }

    /// What verifies this log and audits its tables in this process, to show what it found last.
    #[cfg(feature = "proof")]
    pub fn auditor(mut self, auditor: &guildhall_projector::proof::Auditor) -> Self {
        self.app.proof.auditor = Some(auditor.watch_status());
        self
    }

    /// Who may look; [`Access::Loopback`] by default.
    pub fn access(mut self, access: Access) -> Self {
        self.app.access = access;
        self
    }

    /// The path under which the router serves, such as `/guildhall`, with or without a slash after
    /// it; the root by default.
    pub fn at(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.app.base = if path.is_empty() { String::new() } else { format!("/{path}") };
        self
    }

    /// From which age the latest verdict on what is deployed needs attention; 14 days by default.
    pub fn stale_after(mut self, age: Duration) -> Self {
        self.app.stale_after = age;
        self
    }

    /// How many event streams may be open at once; [`MAX_STREAMS`] by default.
    pub fn max_streams(mut self, streams: usize) -> Self {
        self.app.streams = Arc::new(Semaphore::new(streams.min(Semaphore::MAX_PERMITS)));
        self
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
        let routes = routes::under(&app);
        // Not a layer: that would guard the application's fallback as well.
        routes.route_layer(from_fn_with_state(Arc::clone(&app), guard)).with_state(app)
    }

    /// `/healthz`, `/readyz` and `/metrics` alone, for whoever asks.
    pub(crate) fn probes(self) -> Router {
        routes::probes().with_state(Arc::new(self.app))
    }

    /// The routes with nothing beside them: what they do not answer is a page that does not exist.
    pub(crate) fn router_alone(self) -> Router {
        let app = Arc::new(self.app);
        let routes = routes::under(&app).fallback(routes::missing);
        routes.layer(from_fn_with_state(Arc::clone(&app), guard)).with_state(app)
    }
}
