//! A server that says how it executed what it was asked (auto_explain).

use crate::server::{Server, Settings};

/// A server that logs the plan of every statement as it was executed.
pub(crate) fn start_explaining() -> Server {
    let lines = [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_analyze = on",
        "auto_explain.log_timing = off",
    ];
    Server::start(Settings { lines: lines.map(str::to_owned).to_vec(), ..Settings::default() })
}

/// The plans of the statements that `work` makes the server execute.
pub(crate) async fn plans<T>(server: &Server, work: impl Future<Output = T>) -> (String, T) {
    let before = server.log().len();
    let answer = work.await;
    (server.log()[before..].to_owned(), answer)
}
