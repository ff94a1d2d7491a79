//! What an auditor checks a Chronicle with: Merkle trees and tiles, and the proofs that are made of
//! them. No I/O, no clock, no randomness.
//!
//! Formats are those of others wherever there is one, so that other people's tools read what is
//! written here: RFC 6962 for trees, C2SP for the rest.
//!
//! - [`merkle`]: roots, compact ranges, proofs of inclusion and consistency (RFC 6962, section 2.1);
//! - [`tile`]: the tree in files (C2SP tlog-tiles);
//! - [`Note`], [`VerifierKey`], [`Signer`]: signed texts (C2SP signed-note);
//! - [`SignedSeal`], [`LogKeys`]: a Chronicle's size and root, signed by a key that may (C2SP
//!   tlog-checkpoint);
//! - [`cosign`], [`witness`]: what a witness adds, and how it decides (C2SP tlog-cosignature and
//!   tlog-witness);
//! - [`policy`]: which witnesses have to have cosigned (C2SP tlog-policy);
//! - [`TlogProof`]: one entry's inclusion as a file (C2SP tlog-proof);
//! - [`Record`], [`index`], [`evidence`], [`digest`]: what is Guildhall's own: the leaf of an entry,
//!   where each stream ends, one artifact's whole history as a file, one hash of a table.
//!
//! # Whose code checks
//!
//! Signatures are ed25519-dalek's: kept well, reviewed, and built on the SHA-2 that is here anyway.
//! Everything else is written here. The crates tlog_tiles and signed_note (0.2) pass the same public
//! vectors, but bring a second Ed25519, a second SHA-2 and 80 crates in all, write no cosignatures and
//! have no proofs to make; an auditor would read more and trust more.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cosignature;
mod data_hash;
mod decimal;
pub mod digest;
pub mod evidence;
pub mod index;
mod key;
mod log_keys;
pub mod merkle;
mod note;
pub mod policy;
mod record;
mod rows;
mod seal;
pub mod tile;
mod tlog_proof;
pub mod witness;

pub use cosignature::cosign;
pub use data_hash::DataHash;

pub use guildhall_core::TreeHash;
pub use key::{
    KeyError, KeyId, KeyName, KeyNameError, KeyType, Signer, SignerError, SigningKey, VerifierKey,
};
pub use log_keys::{LogKey, LogKeys, LogKeysError, SealRefused};
pub use note::{
    MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError, NoteSignature, SignError, Verified,
    VerifyError, parse_signature_lines,
};
pub use record::{Record, RecordError};
pub use rows::{Row, RowDifference, Rows};
pub use seal::{AcceptError, Seal, SealError, SignedSeal};
pub use tlog_proof::{TlogProof, TlogProofError};
