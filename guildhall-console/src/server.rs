//! Serving a console alone, within limits.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use guildhall_http::server::Limits;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::console::Console;

/// How many connections are open at once; more wait.
pub const MAX_CONNECTIONS: usize = 512;

const LIMITS: Limits = Limits {
    max_connections: MAX_CONNECTIONS,
    head_timeout: Duration::from_secs(10),
    write_timeout: Duration::from_secs(30),
    grace: Duration::from_secs(2),
};

/// Why a console is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address can be reached from elsewhere, and anyone there could look. Give the console
    /// [an access](Console::access) that asks for a token.
    #[error("{address} can be reached from elsewhere: it needs a token")]
    NeedsToken {
        /// The address.
        address: SocketAddr,
    },
    /// The token is empty: it would let nobody in.
    #[error("the token is empty")]
    EmptyToken,
    /// [`Access::Embedder`] leaves it to a layer who may look, and here there can be none. Mount
    /// [the router](Console::router) under yours.
    #[error("access is left to an embedder's layer, and a console that is served alone has none")]
    NoLayer,
    /// The address cannot be bound.
    #[error("binding {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A console that is being served.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Served {
    /// Where.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it was told to end and has.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn finished(self) {
        // It does not panic, and nobody aborts it.
        let _ = self.task.await;
    }
}

/// Serves a console at this address, until `shutdown` completes: at most [`MAX_CONNECTIONS`]
/// connections, each dropped when it is slow to ask or does not read what it asked for.
///
/// # Errors
/// [`ServeError`].
///
/// # Cancel safety
/// Dropped, it serves nothing; once it has returned, it goes on by itself.
pub async fn serve(
    console: Console,
    address: SocketAddr,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Served, ServeError> {
    match &console.app.access {
        Access::Loopback if address.ip().is_loopback() => {}
        Access::Loopback => return Err(ServeError::NeedsToken { address }),
        Access::Token { token, .. } if token.is_empty() => return Err(ServeError::EmptyToken),
        Access::Token { .. } => {}
        Access::Embedder { .. } => return Err(ServeError::NoLayer),
    }
    listen(console.router_alone(), address, shutdown).await
}

/// Serves no page of a console, only `/healthz`, `/readyz` and `/metrics`, for a process that does its
/// work unseen: a watcher of a cluster, say. Whoever can reach the address may ask; what is told are
/// counts, and why it is not ready. It is ready where a console would be and every
/// [feed](guildhall_projector::ceremony::CeremonyFeed) of the orchestrator listens.
///
/// # Errors
/// [`ServeError::Bind`].
///
/// # Cancel safety
/// As of [`serve`].
pub async fn serve_probes(
    console: Console,
    address: SocketAddr,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Served, ServeError> {
    listen(console.probes(), address, shutdown).await
}

async fn listen(
    router: Router,
    address: SocketAddr,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Served, ServeError> {
    let bind = |source| ServeError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let service = move |_| TowerToHyperService::new(router.clone());
    let task = tokio::spawn(guildhall_http::server::serve(listener, LIMITS, service, shutdown));
    Ok(Served { address, task })
}
