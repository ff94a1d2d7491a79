//! Following the log: what a projector that stays reports about itself.

use anyhow::Result;
use guildhall_core::Position;
use guildhall_projector::{Runtime, State, Status};
use serde::Serialize;

use crate::ending::Ending;
use crate::service::{Watchdog, tell_ready, tell_stopping};
use crate::target::print;

/// How the projector is, on one line of JSON.
#[derive(Serialize)]
struct Line {
    state: &'static str,
    position: Position,
    head: Position,
    entries: u64,
    quarantined: u64,
}

impl Line {
    fn of(status: &Status) -> Self {
        let Status { position, head, entries, quarantined, .. } = *status;
        Self { state: status.state.as_str(), position, head, entries, quarantined }
    }
}

/// Runs until it is to end or the runtime fails; reports what changes, with `is_json` as a line of JSON
/// for each batch.
pub(crate) async fn follow(runtime: &Runtime, ending: &mut Ending, is_json: bool) -> Result<()> {
    let health = runtime.watch_status();
    let _watchdog = Watchdog::feed(move || health.borrow().is_healthy());
    let mut status = runtime.watch_status();
    let (mut said, mut shown, mut is_ready) = ("", None, false);
    loop {
        let now = status.borrow_and_update().clone();
        let state = now.state.as_str();
        if !is_ready && now.state != State::Starting && now.is_healthy() {
            is_ready = true;
            tell_ready("projecting");
        }
        if state != said {
            said = state;
            let (position, head) = (now.position.get(), now.head.get());
            tracing::info!(state, position, head, "projector");
        }
        if is_json && shown != Some((state, now.position)) {
            shown = Some((state, now.position));
            print(&(serde_json::to_string(&Line::of(&now))? + "\n"))?;
        }
        if now.state.is_final() {
            tell_stopping();
            return Ok(runtime.stopped().await?);
        }
        tokio::select! {
            () = ending.asked() => {
                tell_stopping();
                return Ok(());
            }
            // Its last status stays where nobody writes another.
            _ = status.changed() => {}
        }
    }
}
