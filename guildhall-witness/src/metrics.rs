//! What Prometheus reads of a witness.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use guildhall_core::Origin;
use hyper::StatusCode;

use crate::witness::LogState;

/// How many answers there were of each status.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<BTreeMap<u16, u64>>);

impl Counts {
    pub(crate) fn count(&self, status: StatusCode) {
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(status.as_u16())
            .or_default() += 1;
    }

    pub(crate) fn exposition<'w>(
        &self,
        logs: impl Iterator<Item = (&'w Origin, LogState)>,
    ) -> String {
        let mut text = "# HELP guildhall_witness_answers_total Answers, by their status.\n\
                        # TYPE guildhall_witness_answers_total counter\n"
            .to_owned();
        // Writing into a text cannot fail.
        for (status, count) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ =
                writeln!(text, "guildhall_witness_answers_total{{status=\"{status}\"}} {count}");
        }
        text += "# HELP guildhall_witness_size The size of each log that was last cosigned; 0: none.\n\
                 # TYPE guildhall_witness_size gauge\n";
        for (origin, state) in logs {
            let size = state.latest.map_or(0, |seal| seal.seal().size);
            let origin = origin.as_str().replace('\\', r"\\").replace('"', "\\\"");
            let _ = writeln!(text, "guildhall_witness_size{{log=\"{origin}\"}} {size}");
        }
        text
    }
}
