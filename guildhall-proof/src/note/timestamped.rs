//! What a cosignature signs beside the text of a note, and how its bytes are divided (C2SP
//! tlog-cosignature, Ed25519).

/// The latest time that a cosignature can state.
pub(crate) const MAX_UNIX_SECONDS: u64 = i64::MAX.cast_unsigned();

/// What is signed: two lines, and the whole text of the seal.
pub(crate) fn message(unix_seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {unix_seconds}\n{text}")
}

/// The time and the Ed25519 signature that a `timestamped_signature` consists of.
pub(super) fn split(bytes: &[u8]) -> Option<(u64, &[u8; 64])> {
    let (time, signature) = bytes.split_first_chunk::<8>()?;
    let unix_seconds = u64::from_be_bytes(*time);
    let signature = signature.try_into().ok()?;
    (unix_seconds <= MAX_UNIX_SECONDS).then_some((unix_seconds, signature))
}
