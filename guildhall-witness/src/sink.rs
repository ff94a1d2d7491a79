//! One witness of a sealer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use guildhall_projector::proof::{SealSink, SealedLog, SealedLogError, SinkError};
use guildhall_proof::{LogKeys, NoteSignature, Seal, SignedSeal};

use crate::client::{CosignError, WitnessClient};

/// Has every seal cosigned by one witness; give a sealer one of these for each witness.
///
/// A cosignature is verified before it is kept. If the witness shows another seal of this log, signed by
/// the log, that contradicts the new one, the sealer stops. A witness that only claims so is reported, and
/// the seal does without its signature: no single witness can stop a log with a lie.
#[derive(Debug)]
pub struct WitnessSink {
    client: WitnessClient,
    keys: LogKeys,
    /// The size that the witness last cosigned, as far as we know.
    size: Mutex<Option<u64>>,
}

impl WitnessSink {
    /// Has the seals of the log that these keys are of cosigned.
    pub const fn new(client: WitnessClient, keys: LogKeys) -> Self {
        Self { client, keys, size: Mutex::new(None) }
    }

    fn size(&self) -> MutexGuard<'_, Option<u64>> {
        // A number is whole, whoever panicked.
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The seal that the witness shows as its last, if the witness cosigned it and the log signed it.
    /// Anything else is reported, and means nothing.
    async fn shown(&self) -> Result<Option<SignedSeal>, SinkError> {
        let witness = self.name();
        let seal = match self.client.latest(self.keys.origin()).await {
            Ok(Some(seal)) => seal,
            Ok(None) => return Ok(None),
            Err(error) if error.is_transient() => return Err(SinkError::transient(error)),
            Err(error) => {
                tracing::warn!(witness, %error, "the witness does not show what it cosigned last");
                return Ok(None);
            }
        };
        match self.keys.verify(&seal) {
            Ok(_) => Ok(Some(seal)),
            Err(error) => {
                tracing::error!(witness, %error, "the witness shows what the log did not sign");
                Ok(None)
            }
        }
    }

    /// What it means if the witness claims that it has cosigned something else.
    async fn contradicted(&self, log: &SealedLog, error: CosignError) -> SinkError {
        let held = match self.shown().await {
            Ok(Some(held)) => held,
            Ok(None) => return SinkError::permanent(error),
            Err(error) => return error,
        };
        let Seal { size: held_size, root: held_root, .. } = *held.seal();
        match SealedLog::load(log.chronicle().clone(), held).await {
            // It is a seal of this log: another sealer was quicker, or the witness is wrong.
            Ok(_) => SinkError::transient(error),
            Err(SealedLogError::Differs { .. } | SealedLogError::Ends { .. }) => {
                let Seal { size, root, .. } = *log.seal().seal();
                SinkError::Contradicts { held_size, held_root, size, root }
            }
            Err(error) => error.into(),
        }
    }
}

#[async_trait]
impl SealSink for WitnessSink {
    /// The name of the witness's key.
    fn name(&self) -> &str {
        self.client.key().name().as_str()
    }

    fn cosigns(&self) -> bool {
        true
    }

    /// What the witness shows; none if it does not, since it need not. A witness that cannot be reached is
    /// an error: it may have cosigned more than this log has.
    async fn held(&self) -> Result<Option<Seal>, SinkError> {
        Ok(self.shown().await?.map(|seal| {
            *self.size() = Some(seal.seal().size);
            seal.seal().clone()
        }))
    }

    async fn take(&self, log: &SealedLog) -> Result<Vec<NoteSignature>, SinkError> {
        // If we know nothing, the witness answers with the size that it last cosigned.
        let old = self.size().unwrap_or(0).min(log.size());
        let prove = |old| {
            let log = log.clone();
            async move { Ok::<_, SealedLogError>(log.consistency(old).await?.hashes) }
        };
        match self.client.cosign(log.seal(), old, prove).await {
            Ok(cosignature) => {
                *self.size() = Some(log.size());
                Ok(vec![cosignature])
            }
            Err(error) if error.is_contradiction() => Err(self.contradicted(log, error).await),
            Err(error) => Err(sink_error(error)),
        }
    }
}

/// Whether to try again soon.
fn sink_error(error: CosignError) -> SinkError {
    match error {
        CosignError::NoProof { old, source } => match source.downcast::<SealedLogError>() {
            Ok(error) => SinkError::Log(*error),
            Err(source) => SinkError::permanent(CosignError::NoProof { old, source }),
        },
        error if error.is_transient() => SinkError::transient(error),
        error => SinkError::permanent(error),
    }
}
