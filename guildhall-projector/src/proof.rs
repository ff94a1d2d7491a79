//! Proof at work, with the feature `proof`: where [`guildhall_proof`] meets stores and files (DESIGN
//! section 9).
//!
//! [`key_file`] keeps a private key where nobody else can read it. [`verify()`] says whether a log is what
//! was sealed, [`audit()`] whether the tables are what the log says, and an [`Auditor`] asks both again and
//! again; [`digest()`] says what the tables hash to. [`collect()`] makes the evidence of one artifact,
//! [`collect_entry()`] that of one entry. The decisions are `guildhall-proof`'s.
//!
//! # Seals as they are made
//!
//! A [`Sealer`] reads the log, calls the signer, keeps the seal and hands it to others. In this order,
//! so that one that is killed anywhere goes on without contradicting what it told:
//!
//! 1. what is new is read and checked, and the index of the streams appended to the log;
//! 2. the signer signs the size and root of the log up to that entry;
//! 3. the seal is kept, with its tiles and where streams end, in one transaction that refuses where
//!    somebody else sealed meanwhile;
//! 4. the [sinks](SealSink) are told: witnesses first, then those who hold what these signed, too.
//!
//! [`SealedLog`] is a log up to a seal: what a sink, or whoever collects proofs, reads of it.
//! [`FolderSink`] keeps a log as files that any web server serves (C2SP tlog-tiles).

mod audit;
mod auditor;
mod collect;
mod digest;
mod edge;
mod error;
mod folder;
pub mod key_file;
mod log;
mod sealer;
mod settings;
mod sink;
mod status;
mod streams;
mod verify;
mod work;

pub use audit::{AuditError, AuditProgress, audit};
pub use auditor::{Auditor, AuditorSettings, AuditorStatus, Round};
pub use collect::{CollectError, collect, collect_entry, collect_within};
pub use digest::{DigestError, digest};
pub use error::SealerError;
pub use folder::{FolderError, FolderSink};
pub use log::{SealedLog, SealedLogError};
pub use sealer::{Sealer, SealerBuilder};
pub use settings::SealerSettings;
pub use sink::{SealSink, SinkError};
pub use status::{SealerState, SealerStatus, SinkStatus};
pub use verify::{VerifyError, verify};
