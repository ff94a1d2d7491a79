//! The witness itself: one task for each log, which decides, cosigns and records one request after the
//! other.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use guildhall_core::command::Clock;
use guildhall_core::{Origin, OriginError};
use guildhall_proof::witness::{AddCheckpoint, Latest, Log, Refusal};
use guildhall_proof::{
    KeyError, KeyType, NoteError, NoteSignature, SignError, SignedSeal, Signer, VerifierKey, cosign,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::state::{StateError, StateFolder};

/// How many requests may wait for one log. Sound logs send one at a time.
const QUEUE: usize = 16;

/// How long a signer may take.
const SIGNER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request was not answered with a cosignature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// The specification says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many requests wait for this log.
    #[error("too many requests wait for this log")]
    Busy,
    /// The witness is shutting down.
    #[error("the witness is shutting down")]
    Ending,
    /// The signer did not sign.
    #[error("the witness cannot sign")]
    Sign(#[from] SignError),
    /// The signer does not answer.
    #[error("the witness's signer does not answer within {} s", SIGNER_TIMEOUT.as_secs())]
    SignerSilent,
    /// The seal has too many signatures for one more.
    #[error(transparent)]
    Full(#[from] NoteError),
    /// What was cosigned cannot be kept, so it is not handed out.
    #[error("the witness cannot keep what it cosigns")]
    NotKept(#[source] std::io::Error),
    /// What was kept before cannot be read again.
    #[error("the witness cannot read what it kept")]
    State(#[from] StateError),
}

impl AddError {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::Busy | Self::Ending => 503,
            _ => 500,
        }
    }
}

/// A log that a witness works for: its origin, and the keys that may seal it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessedLog {
    /// The origin.
    pub origin: Origin,
    /// The keys, of type 0x01.
    pub keys: Vec<VerifierKey>,
}

/// Why a text does not name a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The key is none.
    #[error("write VKEY, the log's public key, or ORIGIN=VKEY: {0}")]
    Key(#[from] KeyError),
    /// The origin is none.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The key is a witness's.
    #[error("the key {name} is a witness's, and a log's is of type 0x01")]
    WitnessKey {
        /// The key's name.
        name: String,
    },
}

impl WitnessedLog {
    /// The log of this origin, sealed with this key.
    ///
    /// # Errors
    /// [`LogError::WitnessKey`].
    pub fn new(origin: Origin, key: VerifierKey) -> Result<Self, LogError> {
        match key.key_type() {
            KeyType::Ed25519 => Ok(Self { origin, keys: vec![key] }),
            KeyType::Cosignature => Err(LogError::WitnessKey { name: key.name().to_string() }),
        }
    }

    /// The log whose origin is the key's name.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn named_after(key: VerifierKey) -> Result<Self, LogError> {
        Self::new(key.name().as_str().parse()?, key)
    }
}

impl FromStr for WitnessedLog {
    type Err = LogError;

    /// `VKEY`, or `ORIGIN=VKEY`. A key states its own id, so that no text is both.
    fn from_str(text: &str) -> Result<Self, LogError> {
        let wrong = match text.parse() {
            Ok(key) => return Self::named_after(key),
            Err(error) => error,
        };
        for (at, _) in text.match_indices('=') {
            if let Ok(key) = text[at + 1..].parse() {
                return Self::new(text[..at].parse()?, key);
            }
        }
        Err(wrong.into())
    }
}

/// A witness of some logs: of each it cosigns one history, whatever it is asked and however it ends.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use guildhall_core::command::Clock;
/// use guildhall_proof::{KeyType, Seal, SignedSeal, Signer, SigningKey, merkle};
/// use guildhall_proof::witness::AddCheckpoint;
/// use guildhall_witness::{Witness, WitnessedLog};
///
/// let log_key = SigningKey::from_seed("example.com/log".parse()?, KeyType::Ed25519, &[1; 32])?;
/// let key = SigningKey::from_seed("w.example".parse()?, KeyType::Cosignature, &[2; 32])?;
/// let log = WitnessedLog::named_after(log_key.key().clone())?;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("state");
/// let witness = Witness::start(Arc::new(key), [log], &path, Clock::system())?;
///
/// let root = merkle::root([merkle::leaf_hash(b"the first entry")]);
/// let seal = Seal { origin: "example.com/log".parse()?, size: 1, root };
/// let seal = SignedSeal::sign(seal, &log_key).await?;
/// let request = AddCheckpoint { old_size: 0, proof: Vec::new(), seal };
/// assert!(witness.add(request.to_string().as_bytes()).await?.starts_with("— w.example "));
/// witness.shutdown().await;
/// # Ok(())
/// # }
/// ```
pub struct Witness {
    key: VerifierKey,
    logs: BTreeMap<Origin, Handle>,
    tasks: JoinSet<()>,
}

/// A request, and where its answer goes.
type Asked = (AddCheckpoint, oneshot::Sender<Result<NoteSignature, AddError>>);

/// How the task of a log is reached.
struct Handle {
    requests: mpsc::Sender<Asked>,
    state: watch::Receiver<LogState>,
}

/// How a log stands at a witness.
#[derive(Debug, Clone, Default)]
pub struct LogState {
    /// The seal that was last cosigned, with the signatures of the log and of the witness.
    pub latest: Option<Arc<SignedSeal>>,
    /// Whether the last cosignature could be kept. If not, none is given until it can.
    pub is_kept: bool,
}

impl fmt::Debug for Witness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins: Vec<_> = self.logs.keys().collect();
        formatter
            .debug_struct("Witness")
            .field("key", &self.key)
            .field("logs", &origins)
            .finish_non_exhaustive()
    }
}

impl Witness {
    /// Takes up the state in this folder, which is made where it is missing, and works from now on.
    /// Logs of one origin are one log. Blocks while it reads; needs a Tokio runtime.
    ///
    /// The state and the key belong together for ever: a witness that is given an older copy of its state
    /// may cosign what contradicts what it cosigned since.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn start(
        signer: Arc<dyn Signer>,
        logs: impl IntoIterator<Item = WitnessedLog>,
        folder: &Path,
        clock: Clock,
    ) -> Result<Self, StateError> {
        let key = signer.key().clone();
        let folder = Arc::new(StateFolder::open(folder, key.clone())?);
        let mut keys: BTreeMap<Origin, Vec<VerifierKey>> = BTreeMap::new();
        for log in logs {
            let of = keys.entry(log.origin).or_default();
            of.extend(log.keys);
        }
        let (mut logs, mut turns) = (BTreeMap::new(), Vec::new());
        for (origin, keys) in keys {
            let (requests, waiting) = mpsc::channel(QUEUE);
            let (shown, state) = watch::channel(LogState { latest: None, is_kept: true });
            let log = Log { origin: origin.clone(), keys, latest: None };
            let (folder, signer) = (Arc::clone(&folder), Arc::clone(&signer));
            let mut turn =
                Turn { log, is_known: true, folder, signer, clock: clock.clone(), shown };
            turn.took(turn.folder.load(&origin)?);
            turns.push((turn, waiting));
            logs.insert(origin, Handle { requests, state });
        }
        // None works where another's state could not be read.
        let mut tasks = JoinSet::new();
        for (turn, waiting) in turns {
            tasks.spawn(turn.work(waiting));
        }
        Ok(Self { key, logs, tasks })
    }

    /// Its public key.
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The logs, and how each stands.
    pub fn logs(&self) -> impl Iterator<Item = (&Origin, LogState)> {
        self.logs.iter().map(|(origin, handle)| (origin, handle.state.borrow().clone()))
    }

    /// Answers the body of an `add-checkpoint`: with the body of a 200, or an error that has the status
    /// and body of the answer.
    ///
    /// # Errors
    /// [`AddError`].
    ///
    /// # Cancel safety
    /// Dropped, the request is finished all the same, and nobody hears of it.
    pub async fn add(&self, body: &[u8]) -> Result<String, AddError> {
        let request = AddCheckpoint::parse(body).map_err(Refusal::from)?;
        let origin = &request.seal.seal().origin;
        let handle = self.logs.get(origin);
        let handle = handle.ok_or_else(|| Refusal::UnknownLog { origin: origin.clone() })?;
        let (answer, answered) = oneshot::channel();
        handle.requests.try_send((request, answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AddError::Busy,
            mpsc::error::TrySendError::Closed(_) => AddError::Ending,
        })?;
        let signature = answered.await.map_err(|_| AddError::Ending)??;
        Ok(format!("{signature}\n"))
    }

    /// Finishes what has begun, and lets go of the state.
    pub async fn shutdown(mut self) {
        self.logs.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What the task of a log has: all that decides about it, which nobody else touches.
struct Turn {
    log: Log,
    /// Whether `log` says what is kept. After a write that failed, only the disk knows.
    is_known: bool,
    folder: Arc<StateFolder>,
    signer: Arc<dyn Signer>,
    clock: Clock,
    shown: watch::Sender<LogState>,
}

impl Turn {
    async fn work(mut self, mut requests: mpsc::Receiver<Asked>) {
        while let Some((request, answer)) = requests.recv().await {
            let added = self.add(&request).await;
            if let Err(error) = &added {
                self.report(&request, error);
            }
            // Whoever asked may have gone.
            let _ = answer.send(added);
        }
    }

    async fn add(&mut self, request: &AddCheckpoint) -> Result<NoteSignature, AddError> {
        if !self.is_known {
            let (folder, origin) = (Arc::clone(&self.folder), self.log.origin.clone());
            let kept = blocking(move || folder.load(&origin)).await?;
            self.took(kept);
        }
        let mut seal = self.log.judge(request)?;
        let now = u64::try_from(self.clock.now().as_micros()).unwrap_or(0) / 1_000_000;
        if let Some(cosignature) = self.cosigned_at(&seal, now) {
            return Ok(cosignature);
        }
        let signing = timeout(SIGNER_TIMEOUT, cosign(&seal, &*self.signer, now)).await;
        let cosignature = signing.map_err(|_| AddError::SignerSilent)??;
        seal.add(cosignature.clone())?;
        // Kept before it leaves.
        self.is_known = false;
        let (folder, kept) = (Arc::clone(&self.folder), seal.clone());
        if let Err(error) = blocking(move || folder.save(&kept)).await {
            self.shown.send_modify(|state| state.is_kept = false);
            return Err(AddError::NotKept(error));
        }
        self.took(Some(seal));
        Ok(cosignature)
    }

    /// Goes on from what is kept.
    fn took(&mut self, kept: Option<SignedSeal>) {
        self.is_known = true;
        self.log.latest = kept.as_ref().map(|seal| Latest::from(seal.seal()));
        self.shown.send_replace(LogState { latest: kept.map(Arc::new), is_kept: true });
    }

    /// The cosignature of this seal, where it was given within this second: signed again, it would be
    /// the same. So whoever repeats a request costs one write a second at most.
    fn cosigned_at(&self, seal: &SignedSeal, now: u64) -> Option<NoteSignature> {
        let latest = self.shown.borrow().latest.clone()?;
        if latest.note().text() != seal.note().text() {
            return None;
        }
        let key = self.signer.key();
        let signed = latest.note().verify([key]).ok()?;
        signed.iter().find(|signed| signed.unix_seconds == Some(now))?;
        let signatures = latest.note().signatures();
        signatures.iter().find(|by| by.name == *key.name() && by.id == key.id()).cloned()
    }

    /// What deserves somebody's attention. The seal of a log that contradicts itself is signed: it is
    /// the proof, and this may be its only copy.
    fn report(&self, request: &AddCheckpoint, error: &AddError) {
        let origin = self.log.origin.as_str();
        match error {
            AddError::Refused(Refusal::Inconsistent(_)) => {
                let seal = request.seal.to_string();
                tracing::error!(origin, seal, error = %error, "a log contradicts what it sealed");
            }
            AddError::Refused(refusal) => tracing::info!(origin, %refusal, "refused"),
            error => tracing::error!(origin, error = error as &dyn std::error::Error, "failed"),
        }
    }
}

/// What comes of work that blocks. It is waited for even while the runtime shuts down.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Nobody aborts it; a runtime that shuts down does not poll whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}
