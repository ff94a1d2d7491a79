//! What pages say of the feeds of ceremonies.

use super::*;

/// Hands in one step that no chain takes.
struct Confused(ArtifactId);

#[async_trait]
impl CeremonyFeed for Confused {
    fn name(&self) -> &str {
        "confused"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        let act = Act::new("mallory", "<b>now</b>", at(9));
        let step = Step::Closed(CeremonyOutcome::Ratified);
        let (artifact_id, ceremony_id) = (self.0, CeremonyId::new());
        let identity = "object <7>".to_owned();
        intake
            .take(CeremonyReport { identity, artifact_id, ceremony_id, cid: None, step, act })
            .await?;
        Ok(())
    }
}

#[tokio::test]
async fn what_a_feed_hands_in_and_the_chain_refuses_is_shown() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let (chronicle, ops_db) = (Arc::clone(&guild.chronicle), Arc::clone(&guild.ops_db));
    let orchestrator =
        CeremonyOrchestrator::new(chronicle, ops_db).feed(Arc::new(Confused(id))).start();
    let heard = async {
        while orchestrator.status().feeds[0].state != FeedState::Ended {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, heard).await.unwrap();
    let router = Console::new(Arc::clone(&guild.ops_db), orchestrator).router();
    let page = text(get(&router, "/quarantine").await).await;
    assert!(page.contains("confused") && page.contains("CC04"), "{page}");
    assert!(page.contains("object &lt;7&gt;"), "{page}");
    assert!(text(get(&router, "/").await).await.contains("1 report of steps refused"));
    let feed = &json(&router, "/api/v1/status").await["feeds"][0];
    assert_eq!((&feed["refused"], &feed["state"]), (&1.into(), &"ended".into()));
    let metrics = text(get(&router, "/metrics").await).await;
    assert!(
        metrics.contains("guildhall_feed_steps_total{feed=\"confused\",taken=\"refused\"} 1\n")
    );
}

/// Knows of a ceremony whose object is gone.
struct Bereft;

#[async_trait]
impl CeremonyFeed for Bereft {
    fn name(&self) -> &str {
        "bereft"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        intake.refuse("object <8>".to_owned(), None, "its object was deleted".to_owned());
        Ok(())
    }
}

#[tokio::test]
async fn a_ceremony_that_a_feed_reports_as_left_open_is_not_called_unrecorded() {
    let guild = Guild::empty().await;
    let (chronicle, ops_db) = (Arc::clone(&guild.chronicle), Arc::clone(&guild.ops_db));
    let orchestrator = CeremonyOrchestrator::new(chronicle, ops_db).feed(Arc::new(Bereft)).start();
    let heard = async {
        while orchestrator.status().feeds[0].state != FeedState::Ended {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, heard).await.unwrap();
    let router = Console::new(Arc::clone(&guild.ops_db), orchestrator).router();
    let page = text(get(&router, "/quarantine").await).await;
    let feeds = &page[page.find("id=\"feeds\"").unwrap()..];
    assert!(feeds.contains("its object was deleted") && feeds.contains("1 reported"), "{feeds}");
    assert!(feeds.contains("ceremonies that are recorded as open"), "{feeds}");
    assert!(!feeds.contains("Nothing of it") && !feeds.contains("1 refused"), "{feeds}");
    let dashboard = text(get(&router, "/").await).await;
    assert!(dashboard.contains("1 report of steps refused and of ceremonies left open"));
    assert!(!dashboard.contains("break an invariant"), "{dashboard}");
}

/// Cannot reach its source.
struct Deaf;

#[async_trait]
impl CeremonyFeed for Deaf {
    fn name(&self) -> &str {
        "cluster <1>"
    }

    async fn run(&self, intake: &Intake) -> Result<(), FeedError> {
        intake.connecting();
        Err("connection refused".into())
    }
}

/// What the probes of a console answer to whoever asks.
async fn probed(console: Console, path: &str) -> String {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { stopped.await.unwrap() };
    let served = serve_probes(console, "127.0.0.1:0".parse().unwrap(), stopped).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(served.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: 10.0.0.7\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    stop.send(()).unwrap();
    served.finished().await;
    answer
}

#[tokio::test]
async fn a_feed_that_hears_nothing_needs_attention() {
    let guild = Guild::empty().await;
    let (chronicle, ops_db) = (Arc::clone(&guild.chronicle), Arc::clone(&guild.ops_db));
    let orchestrator = CeremonyOrchestrator::new(chronicle, ops_db).feed(Arc::new(Deaf)).start();
    let failed = async {
        while orchestrator.status().feeds[0].last_error.is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, failed).await.unwrap();
    let console = || Console::new(Arc::clone(&guild.ops_db), orchestrator.clone());
    let router = console().router();
    assert_eq!(get(&router, "/readyz").await.status(), StatusCode::OK, "pages can be shown");
    let said = probed(console(), "/readyz").await;
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    assert!(said.contains(r#""reason":"the feed cluster <1> does not listen""#), "{said}");
    assert!(!said.contains("connection refused"), "who may look is not asked: {said}");
    assert!(probed(console(), "/healthz").await.starts_with("HTTP/1.1 200 "));
    assert!(probed(console(), "/").await.starts_with("HTTP/1.1 404 "));
    let page = text(get(&router, "/").await).await;
    assert!(page.contains("Ceremony feed disconnected"), "{page}");
    assert!(page.contains("cluster &lt;1&gt;</bdi>: <bdi>connection refused"), "{page}");
    let metrics = text(get(&router, "/metrics").await).await;
    assert!(metrics.contains("guildhall_feed_healthy{feed=\"cluster <1>\"} 0\n"), "{metrics}");
}
