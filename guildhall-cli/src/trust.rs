//! What an auditor knows beforehand, as arguments name it: keys, and who else has to have signed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use guildhall_core::Origin;
use guildhall_proof::policy::{Policy, PolicyLog};
use guildhall_proof::verify::Known;
use guildhall_proof::{LogKey, LogKeys, VerifierKey};

use crate::error::Problem;

/// Which keys may have sealed, and which witnesses have to have cosigned.
#[derive(Debug, Clone, Args)]
pub(crate) struct Trust {
    /// A public key of the log, as `guildhall key show` prints it; several where it was exchanged
    #[arg(long = "key", value_name = "VKEY", conflicts_with = "keys")]
    key: Vec<String>,

    /// A file of the log's keys and of the sizes at which each may seal (guildhall.keys.v1)
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,

    /// A file that says which witnesses have to have cosigned (C2SP tlog-policy); its logs are keys too
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl Trust {
    /// Reads the files, and the keys of the arguments.
    ///
    /// # Errors
    /// A file cannot be read, or something in it is not what it should be.
    pub(crate) fn load(&self) -> Result<Known> {
        let witnesses = self.policy.as_deref().map(load_policy).transpose()?;
        let keys = match &self.keys {
            Some(path) => Some(load_keys(path)?),
            None => {
                let keys = self.key.iter().map(|text| parse_key(text));
                let mut keys = keys.collect::<Result<Vec<_>>>()?;
                if keys.is_empty() {
                    let logs = witnesses.iter().flat_map(Policy::logs);
                    keys.extend(logs.map(|log: &PolicyLog| log.key.clone()));
                }
                keys_of(keys)?
            }
        };
        Ok(Known { keys, witnesses })
    }
}

fn parse_key(text: &str) -> Result<VerifierKey> {
    text.parse().map_err(|reason| {
        let next = "give the line that `guildhall key show` prints, in quotes";
        Problem::usage(format!("--key: {reason}"), next).into()
    })
}

/// The log is called what its keys are.
fn keys_of(keys: Vec<VerifierKey>) -> Result<Option<LogKeys>> {
    let Some(first) = keys.first() else { return Ok(None) };
    let next = "name the log and its keys in a file: --keys FILE";
    let origin: Origin = first
        .name()
        .as_str()
        .parse()
        .map_err(|reason| Problem::usage(format!("--key: {reason}"), next))?;
    if let Some(other) = keys.iter().find(|key| key.name() != first.name()) {
        let what = format!("the keys {} and {} are of two logs", first.name(), other.name());
        return Err(Problem::usage(what, next).into());
    }
    let keys = keys.into_iter().map(|key| LogKey { key, from: 0, until: None }).collect();
    let keys = LogKeys::new(origin, keys)
        .map_err(|reason| Problem::usage(format!("--key: {reason}"), next))?;
    Ok(Some(keys))
}

fn load_keys(path: &Path) -> Result<LogKeys> {
    let text = read(path)?;
    let text = String::from_utf8_lossy(&text);
    text.parse().map_err(|reason| {
        let what = format!("{}: {reason}", path.display());
        Problem::usage(what, "it has to be a file of keys, as docs/audit.md has one").into()
    })
}

fn load_policy(path: &Path) -> Result<Policy> {
    Policy::parse(&read(path)?).map_err(|reason| {
        let what = format!("{}: {reason}", path.display());
        Problem::usage(what, "it has to be a policy, as docs/audit.md has one").into()
    })
}

/// Reads a file whole.
///
/// # Errors
/// What the system says; it is a mistake in the arguments.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        let what = format!("{}: {error}", path.display());
        Problem::usage(what, "check the path, and whether you may read the file").into()
    })
}
