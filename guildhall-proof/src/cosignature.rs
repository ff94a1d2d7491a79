//! Cosignatures: a witness says that, as of a time, the tree of a seal is the largest that it has
//! seen of that log, and grew out of all that it saw before (C2SP tlog-cosignature, Ed25519).

use crate::key::{KeyType, Signer};
use crate::note::timestamped::{MAX_UNIX_SECONDS, message};
use crate::note::{NoteSignature, SignError, sign};
use crate::seal::SignedSeal;

/// Cosigns a seal. The witness has to have checked that the log only grew, and to have recorded that,
/// before.
///
/// # Errors
/// [`SignError`]; the key has to be of type [`Cosignature`](KeyType::Cosignature), and the time of 1
/// to 2^63 - 1 seconds since 1970-01-01T00:00:00Z.
pub async fn cosign(
    seal: &SignedSeal,
    signer: &dyn Signer,
    unix_seconds: u64,
) -> Result<NoteSignature, SignError> {
    if unix_seconds == 0 || unix_seconds > MAX_UNIX_SECONDS {
        return Err(SignError::Time { found: unix_seconds });
    }
    let message = message(unix_seconds, seal.note().text());
    let signature = sign(signer, KeyType::Cosignature, message.as_bytes()).await?;
    let bytes = [unix_seconds.to_be_bytes().as_slice(), &signature].concat();
    Ok(NoteSignature::of(signer.key(), bytes))
}
