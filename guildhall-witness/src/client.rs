//! A client of one witness, over HTTP or HTTPS.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use guildhall_core::{Origin, TreeHash, setters};
use guildhall_http::client::{HttpClient, TlsError};
use guildhall_proof::witness::{AddCheckpoint, Answer, AnswerError, monitoring_path};
use guildhall_proof::{
    AcceptError, MAX_NOTE_BYTES, NoteSignature, SealError, SignedSeal, VerifierKey,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::http::response::Parts;
use hyper::http::uri::InvalidUri;
use hyper::{Method, Request, StatusCode, Uri};
use tokio::time::timeout;

use crate::address::WitnessAddress;

/// How often a witness may name another size before we give up. Once is usual, twice is another sealer at
/// work; after that it only keeps us busy.
const MAX_CONFLICTS: usize = 3;

/// How a witness is reached.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientSettings {
    /// How long a witness may take for a seal, from connecting to the last byte, however many requests
    /// that takes.
    pub answer_timeout: Duration,
    /// Certificates of the authorities that HTTPS trusts, as PEM; none for those of the system
    /// (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
    pub authorities: Option<Vec<u8>>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { answer_timeout: Duration::from_secs(10), authorities: None }
    }
}

setters!(ClientSettings {
    answer_timeout: Duration,
    authorities: Option<Vec<u8>>,
});

/// Why a witness has not cosigned a seal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CosignError {
    /// It cannot be reached, or its answer broke off.
    #[error("it cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// It does not answer.
    #[error("it has not answered within {} s", .0.as_secs_f64())]
    Silent(Duration),
    /// Its answer means nothing.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// Its signature is missing or wrong: it has another key, or lies.
    #[error("its answer is not a cosignature of the seal: {0}")]
    Cosignature(#[from] AcceptError),
    /// What it serves as the seal that it last cosigned is not a seal.
    #[error("what it serves is not a seal: {0}")]
    Latest(SealError),
    /// It answers with a status that the specification does not have.
    #[error("it answered with the status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// It names another size again and again.
    #[error("it says that it last cosigned the size {size}, and then that it did not")]
    Conflicts {
        /// The size that it named last.
        size: u64,
    },
    /// It has cosigned a larger tree of this log: the log was restored from an older copy, or another
    /// sealer uses its key.
    #[error(
        "it has cosigned the size {witnessed}, beyond {sealed}: the log went back, or was sealed twice"
    )]
    Ahead {
        /// What the witness cosigned.
        witnessed: u64,
        /// What it was to cosign.
        sealed: u64,
    },
    /// It has cosigned what the seal contradicts (422): the log was rewritten, or sealed twice.
    #[error("it has cosigned what this seal contradicts: the log was rewritten, or sealed twice")]
    Inconsistent,
    /// It trusts none of the keys that signed (403).
    #[error("it does not trust the key that sealed: give its operator the log's public key")]
    Untrusted,
    /// It does not know the log (404), or there is no witness at that address.
    #[error("it does not know this log, or is not at this address")]
    UnknownLog,
    /// It does not understand the request (400).
    #[error("it does not understand what it is asked")]
    Malformed,
    /// The proof of consistency from the size that it last cosigned cannot be made.
    #[error("the log cannot prove how it grew from the size {old}")]
    NoProof {
        /// The size.
        old: u64,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl CosignError {
    /// Whether trying again soon can help.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Silent(_) | Self::Conflicts { .. } => true,
            Self::Status { status } => *status >= 500 || matches!(*status, 408 | 429),
            _ => false,
        }
    }

    /// Whether it says that the log contradicts what the witness has seen. That is a claim: the seal
    /// that the witness [shows](WitnessClient::latest) proves it, where the log signed that.
    pub const fn is_contradiction(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::Inconsistent)
    }
}

/// What a witness is asked through.
pub struct WitnessClient {
    address: WitnessAddress,
    http: HttpClient,
    answer_timeout: Duration,
}

impl fmt::Debug for WitnessClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WitnessClient")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl WitnessClient {
    /// A client of this witness. Nothing is sent yet.
    ///
    /// # Errors
    /// [`TlsError`], where the witness is reached over HTTPS.
    pub fn new(address: WitnessAddress, settings: &ClientSettings) -> Result<Self, TlsError> {
        let is_tls = address.add_checkpoint().scheme_str() == Some("https");
        let http = HttpClient::new(is_tls, settings.authorities.as_deref())?;
        Ok(Self { address, http, answer_timeout: settings.answer_timeout })
    }

    /// Which witness it is.
    pub const fn address(&self) -> &WitnessAddress {
        &self.address
    }

    /// Its key.
    pub const fn key(&self) -> &VerifierKey {
        self.address.key()
    }

    async fn exchange(&self, request: &AddCheckpoint) -> Result<Answer, CosignError> {
        let uri = self.address.add_checkpoint().clone();
        let (head, body) = self.call(Method::POST, uri, request.to_string()).await?;
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|of| of.to_str().ok());
        Ok(Answer::read(head.status.as_u16(), content_type, &body)?)
    }

    async fn call(
        &self,
        method: Method,
        uri: Uri,
        body: String,
    ) -> Result<(Parts, Bytes), CosignError> {
        let unreachable = |error: Box<dyn Error + Send + Sync>| CosignError::Unreachable(error);
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Full::from(body))
            .map_err(|error| unreachable(error.into()))?;
        let response = self.http.send(request).await.map_err(unreachable)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_NOTE_BYTES).collect().await.map_err(unreachable)?;
        Ok((head, body.to_bytes()))
    }

    /// The seal of this log that the witness says it cosigned last, with its cosignature verified and
    /// the log's not yet; none where it has none, or does not serve it. Asked for under the submission
    /// prefix, which is the monitoring prefix too where nothing else is said.
    ///
    /// # Errors
    /// [`CosignError`].
    pub async fn latest(&self, origin: &Origin) -> Result<Option<SignedSeal>, CosignError> {
        let uri = format!("{}/{}", self.address.url(), monitoring_path(origin));
        let uri =
            uri.parse().map_err(|error: InvalidUri| CosignError::Unreachable(error.into()))?;
        let call = timeout(self.answer_timeout, self.call(Method::GET, uri, String::new())).await;
        let (head, body) = call.map_err(|_| CosignError::Silent(self.answer_timeout))??;
        match head.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            other => return Err(CosignError::Status { status: other.as_u16() }),
        }
        let seal = SignedSeal::parse(&body).map_err(CosignError::Latest)?;
        seal.note().verify([self.key()]).map_err(AcceptError::from)?;
        if seal.seal().origin == *origin { Ok(Some(seal)) } else { Err(CosignError::UnknownLog) }
    }

    /// Has the seal cosigned, wherever the witness stands: `old` is where it is thought to, and `prove`
    /// makes the proof of consistency from a size to the seal's, which is asked for sizes above 0 and
    /// below the seal's. Returns a cosignature that was verified.
    ///
    /// # Errors
    /// [`CosignError`].
    pub async fn cosign<P, E>(
        &self,
        seal: &SignedSeal,
        old: u64,
        prove: impl Fn(u64) -> P,
    ) -> Result<NoteSignature, CosignError>
    where
        P: Future<Output = Result<Vec<TreeHash>, E>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let cosigned = timeout(self.answer_timeout, self.converse(seal, old, prove)).await;
        cosigned.map_err(|_| CosignError::Silent(self.answer_timeout))?
    }

    async fn converse<P, E>(
        &self,
        seal: &SignedSeal,
        mut old: u64,
        prove: impl Fn(u64) -> P,
    ) -> Result<NoteSignature, CosignError>
    where
        P: Future<Output = Result<Vec<TreeHash>, E>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let new = seal.seal().size;
        for _ in 0..=MAX_CONFLICTS {
            if old > new {
                return Err(CosignError::Ahead { witnessed: old, sealed: new });
            }
            let proof = match old {
                0 => Vec::new(),
                old if old == new => Vec::new(),
                old => prove(old)
                    .await
                    .map_err(|error| CosignError::NoProof { old, source: error.into() })?,
            };
            let request = AddCheckpoint { old_size: old, proof, seal: seal.clone() };
            match self.exchange(&request).await? {
                Answer::Cosigned(lines) => return self.verified(seal, lines),
                Answer::Conflict { size } if size == old => {
                    return Err(CosignError::Conflicts { size });
                }
                Answer::Conflict { size } => old = size,
                Answer::Inconsistent => return Err(CosignError::Inconsistent),
                Answer::Untrusted => return Err(CosignError::Untrusted),
                Answer::UnknownLog => return Err(CosignError::UnknownLog),
                Answer::Malformed => return Err(CosignError::Malformed),
                Answer::Other { status } => return Err(CosignError::Status { status }),
                _ => return Err(CosignError::Malformed),
            }
        }
        Err(CosignError::Conflicts { size: old })
    }

    /// The witness's own signature among the lines, if it is one. Those of others mean nothing.
    fn verified(
        &self,
        seal: &SignedSeal,
        lines: Vec<NoteSignature>,
    ) -> Result<NoteSignature, CosignError> {
        let key = self.key();
        let is_its_own = |line: &NoteSignature| line.name == *key.name() && line.id == key.id();
        let own = lines.iter().find(|line| is_its_own(line)).cloned();
        seal.clone().accept(lines, std::slice::from_ref(key))?;
        // Accepted, there is one.
        own.ok_or(CosignError::Malformed)
    }
}
