//! Handing seals to sinks, and keeping what these sign.

use std::sync::Arc;
use std::time::Duration;

use guildhall_core::{Position, StoredCosignature};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::super::error::SealerError;
use super::super::log::SealedLog;
use super::super::sink::SinkError;
use super::super::status::SealerState;
use super::last_error;
use super::supervisor::Supervisor;
use crate::backoff::Backoff;
use crate::status::chain;
use crate::telemetry;

/// A sink, and how it stands to the last seal.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The size of the last seal that it took.
    size: Option<u64>,
    backoff: Backoff,
    /// When to try again after a failure.
    pub(super) retry_at: Option<Instant>,
}

impl Supervisor {
    /// Hands a seal to those who do not have it: those who cosign first.
    pub(super) async fn tell(&mut self, log: SealedLog) -> Result<(), SealerError> {
        let size = log.size();
        let now = Instant::now();
        let is_due = |told: &Told| {
            told.size != Some(size) && told.retry_at.is_none_or(|retry_at| retry_at <= now)
        };
        let due: Vec<usize> = (0..self.told.len()).filter(|nth| is_due(&self.told[*nth])).collect();
        if due.is_empty() {
            return Ok(());
        }
        self.change(|status| status.state = SealerState::Telling);
        let (witnesses, others): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|nth| self.work.sinks[*nth].cosigns());
        let mut log = log;
        for sinks in [witnesses, others] {
            if sinks.is_empty() {
                continue;
            }
            log = self.with_cosignatures(log).await?;
            self.hand(&sinks, &log).await?;
        }
        Ok(())
    }

    /// The log with the cosignatures that its seal has by now.
    async fn with_cosignatures(&self, log: SealedLog) -> Result<SealedLog, SealerError> {
        let size = Position::try_from(log.size()).unwrap_or(Position::MAX);
        let known = self.work.chronicle.cosignatures(size).await?;
        let mut seal = log.seal().clone();
        for cosignature in known {
            let line = format!("{}\n", cosignature.line);
            let lines = guildhall_proof::parse_signature_lines(line.as_bytes());
            for line in lines.into_iter().flatten() {
                if seal.add(line).is_err() {
                    tracing::warn!(size = %size, "the seal has more cosignatures than a note takes");
                }
            }
        }
        Ok(log.with_seal(seal))
    }

    /// Hands a seal to these sinks at once, and keeps what they cosign.
    async fn hand(&mut self, sinks: &[usize], log: &SealedLog) -> Result<(), SealerError> {
        let mut tasks = JoinSet::new();
        for &nth in sinks {
            let (sink, log) = (Arc::clone(&self.work.sinks[nth]), log.clone());
            tasks.spawn(async move { (nth, sink.take(&log).await) }.in_current_span());
        }
        let taken = self.renewing(async |_| {
            let mut taken = Vec::new();
            while let Some(joined) = tasks.join_next().await {
                taken.push(joined.map_err(SealerError::Panicked)?);
            }
            Ok(taken)
        });
        for (nth, outcome) in taken.await? {
            let name = self.work.sinks[nth].name().to_owned();
            match outcome {
                Ok(lines) => {
                    for line in lines {
                        let cosignature = StoredCosignature {
                            size: Position::try_from(log.size()).unwrap_or(Position::MAX),
                            key_name: line.name.to_string(),
                            line: line.to_string(),
                        };
                        self.work.chronicle.save_cosignature(cosignature).await?;
                    }
                    let told = &mut self.told[nth];
                    *told = Told { size: Some(log.size()), ..Told::default() };
                    telemetry::sink_told(&name, log.size());
                    self.change(|status| {
                        status.sinks[nth].size = Some(log.size());
                        status.sinks[nth].error = None;
                    });
                }
                Err(source @ SinkError::Contradicts { .. }) => {
                    return Err(SealerError::Sink { sink: name, source });
                }
                Err(error) => {
                    let told = &mut self.told[nth];
                    let pause = told.backoff.next(&self.pace).max(if error.is_transient() {
                        Duration::ZERO
                    } else {
                        self.pace.backoff_most
                    });
                    told.retry_at = Some(Instant::now() + pause);
                    telemetry::sink_failed(&name);
                    tracing::warn!(
                        sink = name,
                        error = chain(&error),
                        ?pause,
                        "a sink did not take the seal"
                    );
                    self.change(|status| status.sinks[nth].error = Some(last_error(&error)));
                }
            }
        }
        Ok(())
    }
}
