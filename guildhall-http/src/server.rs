//! Accepting connections within limits.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::impatient::Impatient;

/// What clients may ask of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections are open at once, one at least; more wait.
    pub max_connections: usize,
    /// How long a client may take for the head of a request; a connection is kept open for as long
    /// between two.
    pub head_timeout: Duration,
    /// How long a client may leave unread what is sent to it.
    pub write_timeout: Duration,
    /// How long requests under way are waited for at the end; streams are cut then.
    pub grace: Duration,
}

/// Has every connection served by what `service` returns for its client's address, until `shutdown`
/// completes and what is under way has ended.
///
/// # Cancel safety
/// Dropped, every connection is cut.
pub async fn serve<S, B>(
    listener: TcpListener,
    limits: Limits,
    service: impl Fn(IpAddr) -> S,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connections = Arc::new(Semaphore::new(limits.max_connections.max(1)));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout);
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            // Closed, it would return an error; nobody closes it.
            let permit = Arc::clone(&connections).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, stream, client) = tokio::select! {
            () = &mut shutdown => break,
            (permit, accepted) = accepted => match accepted {
                Ok((stream, client)) => (permit, stream, client.ip()),
                Err(error) => {
                    // Out of file descriptors, say: others may close some.
                    tracing::warn!(error = &error as &dyn Error, "accepting failed");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let stream = TokioIo::new(Impatient::new(stream, limits.write_timeout));
        let connection = graceful.watch(http.serve_connection(stream, service(client)));
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = &error as &dyn Error, "a connection broke");
            }
            drop(permit);
        });
    }
    drop(listener);
    // Event streams never end by themselves: dropping their tasks cuts them.
    let _ = timeout(limits.grace, graceful.shutdown()).await;
    tasks.shutdown().await;
}
