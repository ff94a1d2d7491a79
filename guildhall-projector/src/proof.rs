//! Proof at work, with the feature `proof`: where [`guildhall_proof`] meets files.
//!
//! [`key_file`] keeps a private key where nobody else can read it.

pub mod key_file;
