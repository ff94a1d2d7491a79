//! A socket between a store and its server, which can cut a connection at the worst moment, fall
//! silent, or be gone.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::server::Server;

/// When to cut a connection over which something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never hears of it.
    BeforeTheStatement,
    /// The server has done it and answered, and the answer is lost.
    AfterTheAnswer,
}

/// What is to happen in the middle of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// Nothing.
    Calm,
    /// A cut at the n-th piece that is sent in a transaction, the next one at the piece after it,
    /// and so on, until a transaction has no such piece.
    CutEach { nth: usize, cut: Cut },
    /// Silence after the n-th piece, once: the server has it, and its answer gets nowhere.
    SilenceAfter { nth: usize },
    /// Silence within the first piece of rows that are copied.
    SilenceInCopy,
    /// Silence after a piece that holds this text.
    SilenceAfterText(&'static str),
}

/// Whether anything passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    /// Connections stay, and nothing comes out of them.
    Silent,
    /// Connections are cut, and new ones with them.
    Down,
}

/// How many connections were cut in the middle of a transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cuts {
    pub(crate) in_transaction: usize,
    /// How many of them while rows were copied.
    pub(crate) in_copy: usize,
}

#[derive(Debug)]
struct Shared {
    server: PathBuf,
    next: Mutex<Option<Cut>>,
    plan: Mutex<Plan>,
    cuts: Mutex<Cuts>,
    was_cut: watch::Sender<bool>,
    line: watch::Sender<Line>,
    /// How many pieces each connection has sent, in the order in which they were made.
    pieces: Mutex<Vec<usize>>,
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
        let shared = Arc::new(Shared {
            server: server.socket(),
            next: Mutex::new(None),
            plan: Mutex::new(Plan::Calm),
            cuts: Mutex::new(Cuts::default()),
            was_cut: watch::Sender::new(false),
            line: watch::Sender::new(Line::Open),
            pieces: Mutex::default(),
        });
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

    /// How many pieces each connection has sent so far: whoever sends one waits for an answer before
    /// the next.
    pub(crate) fn pieces(&self) -> Vec<usize> {
        self.shared.pieces.lock().unwrap().clone()
    }

    /// Cuts one connection, with its next prepared statement.
    pub(crate) fn cut_next(&self, cut: Cut) {
        *self.shared.next.lock().unwrap() = Some(cut);
    }

    /// Cuts none with its next statement after all.
    pub(crate) fn cut_next_no_more(&self) {
        *self.shared.next.lock().unwrap() = None;
    }

    /// Cuts each connection that is in a transaction, each time one piece later than the last time.
    pub(crate) fn cut_each_piece_of_transactions(&self, cut: Cut) {
        *self.shared.plan.lock().unwrap() = Plan::CutEach { nth: 1, cut };
    }

    /// Falls silent once a connection has sent its n-th piece in a transaction.
    pub(crate) fn fall_silent_in_a_transaction(&self, nth: usize) {
        *self.shared.plan.lock().unwrap() = Plan::SilenceAfter { nth };
    }

    /// Falls silent once a connection has sent half of a first piece of the rows that it copies.
    pub(crate) fn fall_silent_in_a_copy(&self) {
        *self.shared.plan.lock().unwrap() = Plan::SilenceInCopy;
    }

    /// Falls silent once a connection has sent this in a transaction.
    pub(crate) fn fall_silent_after(&self, text: &'static str) {
        *self.shared.plan.lock().unwrap() = Plan::SilenceAfterText(text);
    }

    /// Waits until it has fallen silent.
    pub(crate) async fn is_silent(&self) {
        let mut line = self.shared.line.subscribe();
        line.wait_for(|line| *line == Line::Silent).await.unwrap();
    }

    /// Passes nothing any more; nobody is told.
    pub(crate) fn fall_silent(&self) {
        self.shared.line.send_replace(Line::Silent);
    }

    /// Cuts every connection, and refuses new ones.
    pub(crate) fn go_down(&self) {
        self.shared.line.send_replace(Line::Down);
    }

    /// Passes everything again.
    pub(crate) fn mend(&self) {
        self.shared.line.send_replace(Line::Open);
    }

    /// How many connections were cut in the middle of a transaction so far.
    pub(crate) fn cuts(&self) -> Cuts {
        *self.shared.cuts.lock().unwrap()
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

/// Where a conversation stands.
#[derive(Debug, Default)]
struct Conversation {
    is_in_transaction: bool,
    is_in_copy: bool,
    /// How many pieces the client has sent in this transaction.
    pieces: usize,
    /// To be cut as soon as the server has answered.
    is_to_be_cut: bool,
}

/// What to do with a piece that the client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passed,
    PassedBeforeSilence,
    /// Its other half passes after the silence.
    HalfPassedBeforeSilence,
    PassedBeforeCut,
    Cut,
}

impl Shared {
    /// Decides about a piece that the client sends.
    fn judge(&self, piece: &[u8], conversation: &mut Conversation) -> Fate {
        // A statement that is prepared already is bound: the first message is a Bind.
        let is_statement = piece[0] == b'B';
        let next = if is_statement { self.next.lock().unwrap().take() } else { None };
        if let Some(cut) = next {
            return match cut {
                Cut::BeforeTheStatement => Fate::Cut,
                Cut::AfterTheAnswer => Fate::PassedBeforeCut,
            };
        }
        if !conversation.is_in_transaction {
            return Fate::Passed;
        }
        conversation.pieces += 1;
        let mut plan = self.plan.lock().unwrap();
        match &mut *plan {
            Plan::CutEach { nth, cut } if *nth == conversation.pieces => {
                *nth += 1;
                let mut cuts = self.cuts.lock().unwrap();
                cuts.in_transaction += 1;
                cuts.in_copy += usize::from(conversation.is_in_copy);
                match cut {
                    Cut::BeforeTheStatement => Fate::Cut,
                    Cut::AfterTheAnswer => Fate::PassedBeforeCut,
                }
            }
            Plan::SilenceAfter { nth } if *nth == conversation.pieces => {
                *plan = Plan::Calm;
                Fate::PassedBeforeSilence
            }
            Plan::SilenceInCopy if conversation.is_in_copy => {
                *plan = Plan::Calm;
                Fate::HalfPassedBeforeSilence
            }
            Plan::SilenceAfterText(text)
                if piece.windows(text.len()).any(|part| part == text.as_bytes()) =>
            {
                *plan = Plan::Calm;
                Fate::PassedBeforeSilence
            }
            _ => Fate::Passed,
        }
    }
}

impl Conversation {
    /// Takes in what the server answers; true where the answer is whole.
    fn hear(&mut self, answer: &[u8]) -> bool {
        // CopyInResponse comes alone: the server waits for rows.
        if answer.first() == Some(&b'G') {
            self.is_in_copy = true;
            return true;
        }
        // ReadyForQuery is the last message of an answer, and says whether a transaction is open.
        let Some(&[b'Z', 0, 0, 0, 5, status]) = answer.last_chunk::<6>() else { return false };
        let is_in_transaction = status != b'I';
        if is_in_transaction != self.is_in_transaction {
            self.pieces = 0;
        }
        (self.is_in_transaction, self.is_in_copy) = (is_in_transaction, false);
        true
    }
}

/// Passes bytes both ways until either side ends or the connection is to be cut.
async fn pass(mut client: UnixStream, shared: Arc<Shared>) {
    let mut line = shared.line.subscribe();
    // A server that is not there is a connection that is cut.
    let Ok(mut server) = UnixStream::connect(&shared.server).await else { return };
    let (mut sent, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut conversation = Conversation::default();
    let connection = {
        let mut pieces = shared.pieces.lock().unwrap();
        pieces.push(0);
        pieces.len() - 1
    };
    loop {
        let state = *line.borrow_and_update();
        match state {
            Line::Open => {}
            Line::Down => return,
            Line::Silent => {
                let _ = line.changed().await;
                continue;
            }
        }
        tokio::select! {
            _ = line.changed() => {}
            read = client.read(&mut sent) => {
                let Ok(count @ 1..) = read else { return };
                let piece = &sent[..count];
                shared.pieces.lock().unwrap()[connection] += 1;
                let fate = shared.judge(piece, &mut conversation);
                if fate == Fate::Cut {
                    shared.was_cut.send_replace(true);
                    return;
                }
                conversation.is_to_be_cut |= fate == Fate::PassedBeforeCut;
                let piece = if fate == Fate::HalfPassedBeforeSilence {
                    let (half, rest) = piece.split_at(count / 2);
                    if server.write_all(half).await.is_err() {
                        return;
                    }
                    shared.line.send_replace(Line::Silent);
                    let _ = line.wait_for(|line| *line != Line::Silent).await;
                    rest
                } else {
                    piece
                };
                if server.write_all(piece).await.is_err() {
                    return;
                }
                if fate == Fate::PassedBeforeSilence {
                    shared.line.send_replace(Line::Silent);
                }
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                let answer = &answered[..count];
                if conversation.hear(answer) && conversation.is_to_be_cut {
                    shared.was_cut.send_replace(true);
                    return;
                }
                // What it said before the connection is cut is lost with it.
                if !conversation.is_to_be_cut && client.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    }
}
