//! A webhook over a real socket: headers, signature, retries.

use std::sync::Arc;

use guildhall_core::Position;
use guildhall_projector::ceremony::{SinkOptions, Webhook, WebhookSecret, WebhookSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::settings;
use crate::{Guild, seen, within};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Takes one request and answers it; the head, in small letters, and the body.
async fn answer(listener: &TcpListener, status: &str) -> (String, String) {
    let (mut stream, _) = within(listener.accept()).await.unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let read = within(stream.read(&mut buffer)).await.unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if body.len() == length {
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            return (head, body.to_owned());
        }
    }
}

#[tokio::test]
async fn a_notice_is_posted_signed_until_it_is_taken() {
    let guild = Guild::in_memory();
    let id = guild.draft().await;
    within(guild.runtime.wait_until(Position::new(3))).await.unwrap();
    let orchestrator = guild.orchestrator().start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let secret: WebhookSecret = SECRET.parse().unwrap();
    let webhook = Webhook::new(&address, secret, WebhookSettings::default()).unwrap();
    let options = SinkOptions::default().settings(settings());
    let task = within(orchestrator.deliver_to(Arc::new(webhook), options)).await.unwrap();
    guild.record(seen(id, 1)).await;
    let header = |head: &str, name: &str| {
        let value = head.split(&format!("{name}: ")).nth(1).unwrap();
        value.lines().next().unwrap().to_owned()
    };
    let mut ids = Vec::new();
    for status in ["503 Service Unavailable", "200 OK"] {
        let (head, body) = answer(&listener, status).await;
        assert!(head.starts_with("post /hook http/1.1"), "{head}");
        ids.push(header(&head, "webhook-id"));
        assert!(header(&head, "webhook-signature").starts_with("v1,"), "{head}");
        assert!(header(&head, "webhook-timestamp").parse::<i64>().is_ok(), "{head}");
        assert!(body.contains("\"type\":\"guildhall.deployment_changed\""), "{body}");
        assert!(
            body.contains("\"from\":null") && body.contains("\"health\":\"unknown\""),
            "{body}"
        );
        assert!(body.contains(&format!("\"artifact_id\":\"{id}\"")), "{body}");
    }
    assert_eq!(ids, [format!("{id}-4"), format!("{id}-4")], "it keeps its id");
    let mut status = task.watch_status();
    within(status.wait_for(|status| status.taken == 1)).await.unwrap();
    guild.record(seen(id, 2)).await;
    answer(&listener, "422 Unprocessable Content").await;
    within(status.wait_for(|status| status.refused == 1)).await.unwrap();
}
