//! Pauses between retries: exponential, capped, with full jitter, so that many projectors that
//! failed together do not come back together (Brooker, "Exponential Backoff And Jitter", 2015).

use std::time::Duration;

use crate::settings::Settings;

/// The pauses after failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Where the last of so many failures in a row is the one to pause for.
    pub(crate) fn after(failures: u32) -> Self {
        Self { failures: failures.saturating_sub(1) }
    }

    /// The next pause: anything up to a bound that doubles with each failure, up to the cap.
    pub(crate) fn next(&mut self, settings: &Settings) -> Duration {
        let bound = self.bound(settings);
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(rand::random::<f64>())
    }

    /// How many failures there were in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    fn bound(&self, settings: &Settings) -> Duration {
        let factor = 2u32.saturating_pow(self.failures.min(31));
        settings.backoff_first.saturating_mul(factor).min(settings.backoff_most)
    }

    /// Something succeeded: the next failure is a first one again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_up_to_the_cap_and_start_anew_after_success() {
        let settings = Settings::default();
        let mut backoff = Backoff::default();
        let mut bounds = Vec::new();
        for _ in 0..40 {
            bounds.push(backoff.bound(&settings));
            let bound = backoff.bound(&settings);
            assert!(backoff.next(&settings) <= bound);
        }
        assert_eq!(bounds[0], settings.backoff_first);
        assert_eq!(bounds[3], settings.backoff_first * 8);
        assert_eq!(bounds[39], settings.backoff_most);
        backoff.reset();
        assert_eq!(backoff.bound(&settings), settings.backoff_first);
    }
}
