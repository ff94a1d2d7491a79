//! How the feed is doing, in lines: what is new each time.

use std::collections::HashMap;

use guildhall_core::text::escape_for_terminal;
use guildhall_projector::ceremony::{FeedState, FeedStatus};

/// What was said of the feed.
#[derive(Default)]
pub(crate) struct Health {
    state: Option<FeedState>,
    error: Option<String>,
    known: u64,
    /// What is refused, and why, by what names it.
    refused: HashMap<String, String>,
}

impl Health {
    /// What is new, a line each. What the cluster wrote is on the line that it belongs to, and
    /// tells the terminal nothing.
    pub(crate) fn news(&mut self, feed: &FeedStatus) -> Vec<String> {
        let mut news = Vec::new();
        let error = feed.last_error.as_ref().map(|error| error.message.clone());
        if error != self.error {
            news.extend(error.as_ref().map(|error| format!("failed: {error}")));
            self.error = error;
        }
        if self.state.replace(feed.state) != Some(feed.state) {
            news.extend(match feed.state {
                FeedState::Listening => Some("listening".to_owned()),
                FeedState::Connecting => Some("connecting".to_owned()),
                _ => None,
            });
        }
        if feed.known > self.known {
            news.push(format!("  known      {} steps, recorded before", feed.known - self.known));
            self.known = feed.known;
        }
        for refusal in &feed.refusals {
            let before = self.refused.insert(refusal.identity.clone(), refusal.reason.clone());
            if before.as_ref() != Some(&refusal.reason) {
                news.push(format!("  refused    {}: {}", refusal.identity, refusal.reason));
            }
        }
        self.refused.retain(|identity, _| feed.refusals.iter().any(|it| it.identity == *identity));
        news.iter().map(|line| escape_for_terminal(line).into_owned()).collect()
    }
}
