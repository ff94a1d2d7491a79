//! `guildhall`, the program, and what your own programs can share with it.
//!
//! `guildhall --help` says what it does; `JSON.md` beside this crate's manifest says what it prints for
//! other programs. Without the feature `program`, the crate is a small library: [`database`] opens what
//! a URL names, [`steps`] import, project and export with [`progress`] and a line that says what was
//! done, [`report`] shows a Chronicle and its Ops DB, [`ending`] ends on signals, and [`address`],
//! [`input`] and [`target`] parse arguments. The repository's examples use it.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `program` (default) | the commands, and with them the program |
//! | `sqlite` (default) | `sqlite:PATH` |
//! | `postgres` (default) | `postgres://USER@HOST/DATABASE` |
//! | `console` (default) | `guildhall serve` |
//! | `proof` (default) | `guildhall key` |
//! | `witness` (default) | `guildhall witness`, and witnesses of `guildhall seal` |
//! | `kube` | `guildhall kube` |
#![deny(missing_docs)]

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("guildhall-cli needs a database: turn on its feature `sqlite` or `postgres`");

pub mod address;
#[cfg(feature = "program")]
pub mod args;
#[cfg(feature = "program")]
mod asking;
#[cfg(feature = "program")]
pub mod checkup;
#[cfg(feature = "program")]
pub mod commands;
pub mod database;
#[cfg(feature = "program")]
mod draft;
pub mod ending;
#[cfg(feature = "program")]
pub mod entries;
#[cfg(feature = "program")]
pub mod error;
#[cfg(feature = "program")]
mod following;
pub mod input;
#[cfg(feature = "program")]
pub mod logs;
#[cfg(feature = "program")]
pub mod output;
pub mod progress;
pub mod report;
#[cfg(feature = "program")]
mod run;
#[cfg(feature = "program")]
mod service;
#[cfg(feature = "program")]
pub mod standing;
pub mod steps;
pub mod target;
#[cfg(feature = "proof")]
mod trust;
#[cfg(feature = "witness")]
mod witnesses;

#[cfg(feature = "program")]
pub use run::main;
