//! Says on standard error how far something has got: a bar on a terminal, lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How far one step of a run has got.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    doing: &'static str,
    total: Option<u64>,
    said_at: Instant,
}

impl Progress {
    /// A step that counts up to `total`, where that is known. A bar hides itself where standard
    /// error is no terminal.
    pub fn start(doing: &'static str, total: Option<u64>) -> Self {
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{msg:<10} [{bar:32}] {human_pos}/{human_len} {per_sec} {eta}",
            ),
            None => (ProgressBar::new_spinner(), "{msg:<10} {spinner} {human_pos} {per_sec}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(doing);
        Self { bar, doing, total, said_at: Instant::now() }
    }

    /// The step has got so far.
    pub fn set(&mut self, position: u64) {
        self.bar.set_position(position);
        if self.bar.is_hidden() && self.said_at.elapsed() >= LINE_INTERVAL {
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
        say(what_it_did);
    }
}

/// Writes a line to standard error, if anybody still reads it.
pub fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}
