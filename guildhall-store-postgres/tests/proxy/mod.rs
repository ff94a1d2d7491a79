//! A socket between a store and its server, which can cut a connection at the worst moment.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::server::Server;

/// When to cut the connection over which the next prepared statement comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never hears of it.
    BeforeTheStatement,
    /// The server has done it and answered, and the answer is lost.
    AfterTheAnswer,
}

#[derive(Debug)]
struct Shared {
    server: PathBuf,
    next: Mutex<Option<Cut>>,
    was_cut: watch::Sender<bool>,
}

/// Listens on a socket of its own until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (next, was_cut) = (Mutex::new(None), watch::Sender::new(false));
        let shared = Arc::new(Shared { server: server.socket(), next, was_cut });
        let passing = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, Arc::clone(&passing)));
            }
        });
        Self { folder, shared, task }
    }

    /// How to reach a database through it.
    pub(crate) fn url(&self, database: &str) -> String {
        let host = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres:///{database}?host={host}&port=5432&user=guildhall")
    }

    /// Cuts one connection, with its next prepared statement.
    pub(crate) fn cut_next(&self, cut: Cut) {
        *self.shared.next.lock().unwrap() = Some(cut);
    }

    /// Waits until it has been cut.
    pub(crate) async fn was_cut(&self) {
        self.shared.was_cut.subscribe().wait_for(|was_cut| *was_cut).await.unwrap();
    }

    pub(crate) fn is_cut(&self) -> bool {
        *self.shared.was_cut.borrow()
    }

    /// Forgets that it has been cut.
    pub(crate) fn reset(&self) {
        self.shared.was_cut.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes both ways until either side ends or the connection is to be cut.
async fn pass(mut client: UnixStream, shared: Arc<Shared>) {
    let mut server = UnixStream::connect(&shared.server).await.unwrap();
    let (mut sent, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let Ok(count @ 1..) = read else { return };
                // A statement that is prepared already is bound: the first message is a Bind.
                let is_statement = sent[0] == b'B';
                let cut = if is_statement { shared.next.lock().unwrap().take() } else { None };
                if cut == Some(Cut::BeforeTheStatement) {
                    shared.was_cut.send_replace(true);
                    return;
                }
                if server.write_all(&sent[..count]).await.is_err() {
                    return;
                }
                if cut == Some(Cut::AfterTheAnswer) {
                    // ReadyForQuery is the last message of an answer: the commit is over.
                    let mut answer = Vec::new();
                    while !answer.ends_with(b"Z\0\0\0\x05I") {
                        let Ok(count @ 1..) = server.read(&mut answered).await else { return };
                        answer.extend_from_slice(&answered[..count]);
                    }
                    shared.was_cut.send_replace(true);
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
