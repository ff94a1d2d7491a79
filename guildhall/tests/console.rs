//! The console of a guild.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::net::SocketAddr;

use common::{act, draft_zone, soon, suspend_drafts};
use guildhall::Source;
use guildhall::console::serve;
use guildhall::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What the console answers.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = soon(TcpStream::connect(address)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    soon(stream.write_all(request.as_bytes())).await.unwrap();
    let mut response = String::new();
    soon(stream.read_to_string(&mut response)).await.unwrap();
    response
}

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
    let chain = get(served.address(), &format!("/api/v1/artifacts/{id}/chain")).await;
    assert!(chain.contains(r#""to_state":"suspended""#) && !chain.contains("CC04"), "{chain}");
    let metrics = get(served.address(), "/metrics").await;
    assert!(metrics.contains("guildhall_projector_entries_total"), "{metrics}");
    drop(stop);
    soon(served.finished()).await;
    soon(guild.close()).await.unwrap();
}

#[cfg(feature = "proof")]
#[tokio::test]
async fn the_console_shows_the_guilds_seals_and_what_its_auditor_finds() {
    use std::sync::Arc;
    use std::time::Duration;

    use guildhall::proof::verify::Known;
    use guildhall::proof::{KeyType, LogKeys, Signer as _, SigningKey};

    let guild = Guild::in_memory();
    let (_, drafted) = draft_zone(&guild).await;
    soon(guild.run().wait_until(drafted)).await.unwrap();
    let origin = guild.chronicle().origin().await.unwrap().unwrap();
    let name = origin.as_str().parse().unwrap();
    let key = SigningKey::from_seed(name, KeyType::Ed25519, &[1; 32]).unwrap();
    let keys = LogKeys::single(origin, key.key().clone()).unwrap();
    let sealed = soon(Box::pin(guild.sealer(Arc::new(key)).seal())).await.unwrap();

    let known = Known { keys: Some(keys), witnesses: None };
    let auditor = guild.auditor(known.clone(), Duration::from_secs(3600));
    let mut found = auditor.watch_status();
    drop(soon(found.wait_for(|found| found.audited.is_some())).await.unwrap());
    let console = guild.console().known(known).auditor(&auditor);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let served = serve(console, "127.0.0.1:0".parse().unwrap(), stopped).await.unwrap();
    let seals = get(served.address(), "/api/v1/seals").await;
    assert!(seals.contains(&format!(r#""size":{},"#, sealed.size)), "{seals}");
    let page = get(served.address(), "/proof").await;
    for said in ["verified", "The log is what was sealed", "The tables are what the log says"] {
        assert!(page.contains(said), "{said:?} is not in {page}");
    }
    drop((stop, auditor));
    soon(served.finished()).await;
    soon(guild.close()).await.unwrap();
}
