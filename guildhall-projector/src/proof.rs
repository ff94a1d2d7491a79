//! Proof at work, with the feature `proof`: where [`guildhall_proof`] meets files and stores.
//!
//! [`key_file`] keeps a private key where nobody else can read it. [`verify()`] says whether a log is what
//! was sealed, [`audit()`] whether the tables are what the log says, [`digest()`] what they hash to;
//! [`collect()`] makes the evidence of one artifact. The decisions are `guildhall-proof`'s.

mod audit;
mod collect;
mod digest;
pub mod key_file;
mod verify;

pub use audit::{AuditError, AuditProgress, audit};
pub use collect::{CollectError, collect};
pub use digest::{DigestError, digest};
pub use verify::{VerifyError, verify};
