//! Reports progress on standard error: a bar on a terminal, lines elsewhere.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How far one step of a run has got.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    doing: &'static str,
    total: Option<u64>,
    said_at: Instant,
    is_silent: bool,
}

impl Progress {
    /// A step that counts up to `total`, where that is known. A bar is as wide as the terminal, and
    /// hides itself where standard error is none.
    pub fn start(doing: &'static str, total: Option<u64>) -> Self {
        let (bar, template) = match total {
            Some(total) => {
                (ProgressBar::new(total), "{msg:<10} [{wide_bar}] {human_pos}/{human_len}{rate}")
            }
            None => (ProgressBar::new_spinner(), "{msg:<10} {spinner} {human_pos}{rate}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = Rate::default();
            let rate = move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                // A text takes all that is written.
                let _ = rate.write(state, text);
            };
            bar.set_style(style.progress_chars("=> ").with_key("rate", rate));
        }
        bar.set_message(doing);
        Self { bar, doing, total, said_at: Instant::now(), is_silent: false }
    }

    /// A step that reports nothing.
    pub fn silent() -> Self {
        let (bar, said_at) = (ProgressBar::hidden(), Instant::now());
        Self { bar, doing: "", total: None, said_at, is_silent: true }
    }

    /// The step has got this far.
    pub fn set(&mut self, position: u64) {
        self.bar.set_position(position);
        let is_due = self.bar.is_hidden() && self.said_at.elapsed() >= LINE_INTERVAL;
        if is_due && !self.is_silent {
            self.said_at = Instant::now();
            match self.total {
                Some(total) => say(&format!("{}: {position} of {total}", self.doing)),
                None => say(&format!("{}: {position}", self.doing)),
            }
        }
    }

    /// The step is over; what it did stays as one line.
    pub fn finish(self, what_it_did: &str) {
        self.bar.finish_and_clear();
        if !self.is_silent {
            say(what_it_did);
        }
    }
}

/// How many a second since the first position reported, which the run may have started from.
#[derive(Debug, Default, Clone)]
struct Rate {
    first: std::sync::Arc<std::sync::OnceLock<(u64, Instant)>>,
}

impl Rate {
    fn write(&self, state: &ProgressState, text: &mut dyn std::fmt::Write) -> std::fmt::Result {
        if state.pos() == 0 {
            return Ok(());
        }
        let (first, began) = *self.first.get_or_init(|| (state.pos(), Instant::now()));
        let mut shown = String::new();
        if let Some(rate) = rate(state.pos().saturating_sub(first), began.elapsed()) {
            write!(shown, " {}/s", HumanCount(rate))?;
            let left = state.len().map_or(0, |len| len.saturating_sub(state.pos()));
            if left > 0 {
                write!(shown, " {} s left", left.div_ceil(rate))?;
            }
        }
        text.write_str(&shown)
    }
}

/// How many a second; none if nothing was done, or too little to tell.
fn rate(done: u64, took: Duration) -> Option<u64> {
    let per_second = u128::from(done) * 1000 / took.as_millis().max(1);
    u64::try_from(per_second).ok().filter(|rate| *rate > 0 && took.as_millis() > 50)
}

/// Writes a line to standard error, if anybody still reads it.
pub fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_rate_where_nothing_was_done() {
        let second = Duration::from_secs(1);
        assert_eq!(rate(0, second), None);
        assert_eq!(rate(5000, Duration::from_millis(1)), None);
        assert_eq!(rate(5000, 2 * second), Some(2500));
    }
}
