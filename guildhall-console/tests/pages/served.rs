//! The console as a server of its own.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_say_nothing_keep_nobody_else_waiting() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let guild = Guild::empty().await;
    let address = guild.serve(Access::Loopback).await.address();
    let mut silent = Vec::new();
    for nth in 0..60 {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        if nth % 2 == 0 {
            // Half a request is no better than none.
            stream.write_all(b"GET / HTTP/1.1\r\nHost: local").await.unwrap();
        }
        silent.push(stream);
    }
    let asks = async {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(Duration::from_secs(5), asks).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_console_ends_when_it_is_told_to() {
    let guild = Guild::empty().await;
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let console: Console = guild.console();
    let until = async move { drop(ended.await) };
    let served = serve(console, "127.0.0.1:0".parse().unwrap(), until).await.unwrap();
    let address = served.address();
    assert!(tokio::net::TcpStream::connect(address).await.is_ok());
    end.send(()).unwrap();
    timeout(Duration::from_secs(10), served.finished()).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
