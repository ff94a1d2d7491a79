//! The console of a guild.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{act, draft_zone, soon, suspend_drafts};
use guildhall::Source;
use guildhall::console::serve;
use guildhall::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn the_console_judges_by_the_guilds_policy_and_shows_its_projector() {
    let guild = Guild::builder(Source::Memory).policy(suspend_drafts()).open().await.unwrap();
    let (id, _) = draft_zone(&guild).await;
    let suspend = Command::transition(id, CustodyState::Suspended, act());
    let suspended = guild.recorder().record(suspend).await.unwrap().position;
    soon(guild.run().wait_until(suspended)).await.unwrap();

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let served = serve(guild.console(), "127.0.0.1:0".parse().unwrap(), stopped).await.unwrap();
    let get = async |path: &str| {
        let mut stream = TcpStream::connect(served.address()).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    };
    let chain = soon(get(&format!("/api/v1/artifacts/{id}/chain"))).await;
    assert!(chain.contains(r#""to_state":"suspended""#) && !chain.contains("CC04"), "{chain}");
    let metrics = soon(get("/metrics")).await;
    assert!(metrics.contains("guildhall_projector_entries_total"), "{metrics}");
    drop(stop);
    soon(served.finished()).await;
    soon(guild.close()).await.unwrap();
}
