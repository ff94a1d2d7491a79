//! What the examples share: the bundled Chronicle and how it is told. What they share with the program
//! `guildhall` is in its crate, `guildhall-cli`.
//!
//! Each file beside this folder is one program with one story; run it with
//! `cargo run --example projector` and so on.
#![deny(missing_docs)]

#[cfg(feature = "console")]
pub mod live;
pub mod story;
