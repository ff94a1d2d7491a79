//! Serving a console alone, within limits.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::access::Access;
use crate::console::Console;

/// How many connections are open at once; more wait.
pub const MAX_CONNECTIONS: usize = 512;

/// How long a client may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may leave unread what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests under way are waited for at the end; streams are cut then.
const GRACE: Duration = Duration::from_secs(2);

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
    let task = tokio::spawn(accept(listener, router, shutdown));
    Ok(Served { address, task })
}

async fn accept(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            // Closed, it would answer an error; nobody closes it.
            let permit = Arc::clone(&connections).acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = &mut shutdown => break,
            (permit, accepted) = accepted => match accepted {
                Ok((stream, _)) => (permit, stream),
                Err(error) => {
                    // Out of file descriptors, say: others may close some.
                    tracing::warn!(error = &error as &dyn std::error::Error, "accepting failed");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection =
            graceful.watch(http.serve_connection(TokioIo::new(Impatient::new(stream)), service));
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke");
            }
            drop(permit);
        });
    }
    drop(listener);
    // Event streams never end by themselves: dropping their tasks cuts them.
    let _ = timeout(GRACE, graceful.shutdown()).await;
    tasks.shutdown().await;
}

/// A connection that fails when the other side does not read for long.
struct Impatient {
    stream: TcpStream,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    const fn new(stream: TcpStream) -> Self {
        Self { stream, waiting: None }
    }

    /// The outcome of a write, or its failure once it has waited for too long.
    fn within<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let deadline = Instant::now() + WRITE_TIMEOUT;
        let waiting =
            self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.within(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.within(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut served = Impatient::new(listener.accept().await.unwrap().0);
        let began = Instant::now();
        let error = loop {
            // What both ends buffer is taken; then nobody reads.
            if let Err(error) = served.write_all(&[0; 1 << 16]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= WRITE_TIMEOUT);
        drop(client);
    }
}
