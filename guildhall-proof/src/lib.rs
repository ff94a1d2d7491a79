//! What an auditor checks a Chronicle with: Merkle trees and tiles, and the proofs that are made of
//! them. No I/O, no clock, no randomness.
//!
//! Formats are those of others wherever there is one, so that other people's tools read what is
//! written here: RFC 6962 for trees, C2SP for the rest.
//!
//! - [`merkle`]: roots, compact ranges, proofs of inclusion and consistency (RFC 6962, section 2.1);
//! - [`tile`]: the tree in files (C2SP tlog-tiles).
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod decimal;
pub mod merkle;
pub mod tile;

pub use guildhall_core::TreeHash;
