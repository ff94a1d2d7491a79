use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use guildhall_projector::proof::key_file;
use guildhall_proof::{KeyName, KeyType, Signer as _, SigningKey};
use serde::Serialize;

use super::Context;
use crate::error::Verdict;
use crate::output::print_document;

/// Make keys, and show their public halves
///
/// A log seals with a key of its own, and a witness cosigns with another. Neither is kept in the
/// database: nobody who can rewrite that must be able to sign too.
#[derive(Debug, Args)]
pub struct Key {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key, in a file that only you can read; print its public half
    ///
    /// An existing file is never overwritten. Keep a copy where the database's administrators cannot
    /// read it, and give the public half to those who check seals.
    New(New),
    /// Print the public half of a key: <name>+<id>+<base64>, the vkey of C2SP signed-note
    Show(Show),
}

#[derive(Debug, Args)]
struct New {
    /// What the key is called: of a log's key the origin that `guildhall status` shows, of a witness's
    /// a URL without https://, such as witness.example.org/guildhall
    name: KeyName,

    /// The file to make
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// A witness's key, which cosigns the seals of others; without, a log's
    #[arg(long)]
    witness: bool,
}

#[derive(Debug, Args)]
struct Show {
    /// The key's file
    file: PathBuf,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    id: String,
    #[serde(rename = "type")]
    key_type: &'static str,
    vkey: String,
}

impl Key {
    pub(crate) fn run(self, context: &Context) -> Result<Verdict> {
        let key = match self.what {
            What::New(New { name, out, witness }) => {
                let key_type = if witness { KeyType::Cosignature } else { KeyType::Ed25519 };
                key_file::create(&out, name, key_type)?
            }
            What::Show(Show { file }) => key_file::read(&file)?,
        };
        let shown = Shown::of(&key);
        print_document(context.global.json, &shown, |_| format!("{}\n", shown.vkey))?;
        Ok(Verdict::Holds)
    }
}

impl Shown {
    fn of(key: &SigningKey) -> Self {
        let key = key.key();
        let key_type = match key.key_type() {
            KeyType::Ed25519 => "ed25519",
            KeyType::Cosignature => "cosignature",
        };
        Self {
            name: key.name().to_string(),
            id: key.id().to_string(),
            key_type,
            vkey: key.to_string(),
        }
    }
}
