//! The witnesses that seals are sent to, as arguments name them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use guildhall::Guild;
use guildhall::witness::{ClientSettings, WitnessAddress, WitnessClient, WitnessSink};
use guildhall_projector::proof::SealerBuilder;
use guildhall_proof::policy::Policy;
use guildhall_proof::{LogKeys, VerifierKey};

use crate::ending::message;
use crate::error::Problem;

/// Which witnesses, and how they are reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Witnesses")]
pub(crate) struct Witnesses {
    /// Have every seal cosigned by this witness, given by its address and public key (C2SP tlog-witness);
    /// repeat it for each
    #[arg(long, value_name = "URL=VKEY")]
    witness: Vec<WitnessAddress>,

    /// Have every seal cosigned by the witnesses that this file names with their URLs (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    witness_policy: Option<PathBuf>,

    /// For HTTPS, trust the authorities in this file of certificates (PEM), and not the system's
    #[arg(long, value_name = "FILE")]
    witness_ca: Option<PathBuf>,

    /// How many seconds a witness may take for a seal; it is asked again later
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    witness_timeout: u64,
}

impl Witnesses {
    /// A client of each. Nothing is sent yet.
    pub(crate) fn clients(&self) -> Result<Vec<WitnessClient>> {
        let addresses = self.addresses()?;
        let authorities = self.witness_ca.as_deref().map(read).transpose()?;
        let settings = ClientSettings::default()
            .answer_timeout(Duration::from_secs(self.witness_timeout))
            .authorities(authorities);
        let client = |address: WitnessAddress| {
            let of = address.key().name().clone();
            WitnessClient::new(address, &settings).map_err(|error| {
                let what = format!("the witness {of}: {}", message(&error.into()));
                let next = "name a file of certificates (PEM) with --witness-ca";
                Problem::usage(what, next).into()
            })
        };
        addresses.into_iter().map(client).collect()
    }

    /// All of them, each once.
    fn addresses(&self) -> Result<Vec<WitnessAddress>> {
        let mut addresses = self.witness.clone();
        if let Some(path) = &self.witness_policy {
            let refused = |error: &dyn std::fmt::Display| {
                let next = "write it as C2SP tlog-policy has it, each witness with its URL";
                Problem::usage(format!("{}: {error}", path.display()), next)
            };
            let policy = Policy::parse(&read(path)?).map_err(|error| refused(&error))?;
            addresses.extend(WitnessAddress::of_policy(&policy).map_err(|error| refused(&error))?);
        }
        for (nth, address) in addresses.iter().enumerate() {
            if addresses[..nth].iter().any(|other| other.key() == address.key()) {
                let what = format!("the witness {} is named twice", address.key().name());
                return Err(Problem::usage(what, "name each once").into());
            }
        }
        Ok(addresses)
    }
}

/// The sealer of this guild, with a sink for each witness.
pub(crate) async fn give(
    builder: SealerBuilder,
    witnesses: Vec<WitnessClient>,
    guild: &Guild,
    keys: Option<LogKeys>,
    key: VerifierKey,
) -> Result<SealerBuilder> {
    let keys = match keys {
        Some(keys) => keys,
        // A log has an origin from its first entry on. Before, the key is named after it.
        None => {
            let origin = guild.chronicle().origin().await?;
            let origin = origin.map_or_else(|| key.name().as_str().parse(), Ok)?;
            LogKeys::single(origin, key)?
        }
    };
    let sink = |client| Arc::new(WitnessSink::new(client, keys.clone()));
    Ok(witnesses.into_iter().map(sink).fold(builder, |builder, sink| builder.sink(sink)))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}
