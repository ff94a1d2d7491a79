//! Health and metrics.

use super::*;

#[tokio::test]
async fn health_and_metrics_tell_the_truth_about_the_projector() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(&router, path).await.status(), StatusCode::OK);
    }
    let metrics = text(get(&router, "/metrics").await).await;
    let head = guild.chronicle.head().await.unwrap().position;
    for line in [
        format!("guildhall_projector_position {head}"),
        "guildhall_projector_lag 0".to_owned(),
        "guildhall_projector_healthy 1".to_owned(),
        "guildhall_artifacts{tier=\"0\"} 3".to_owned(),
        "guildhall_deployments{health=\"drifted\"} 1".to_owned(),
        "guildhall_quarantined_entries 1".to_owned(),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    timeout(SOON, guild.runtime.shutdown()).await.unwrap().unwrap();
    guild.chronicle.append(Append::of([note()])).await.unwrap();
    for path in ["/healthz", "/readyz"] {
        let response = get(&router, path).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(text(response).await.contains("stopped"));
    }
    let metrics = text(get(&router, "/metrics").await).await;
    assert!(metrics.contains("guildhall_projector_lag 1\n"));
    assert!(metrics.contains("guildhall_projector_healthy 0\n"));
}

/// Fails whenever there is something to apply.
struct Failing {
    inner: Arc<dyn Projector>,
    passes: bool,
}

#[async_trait]
impl Projector for Failing {
    async fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.inner.checkpoint().await
    }

    async fn apply(&self, _: Batch) -> Result<Applied, ApplyError> {
        let error = if self.passes { StoreError::transient } else { StoreError::permanent };
        Err(error("testing", "the disk is full").into())
    }

    async fn hold_lease(&self) -> Result<Lease, StoreError> {
        self.inner.hold_lease().await
    }

    async fn release_lease(&self) -> Result<(), StoreError> {
        self.inner.release_lease().await
    }

    fn lease_time(&self) -> Duration {
        self.inner.lease_time()
    }
}

#[tokio::test]
async fn a_projector_that_fails_is_not_ready_and_one_that_has_failed_is_not_healthy() {
    for (passes, state, health) in
        [(true, "backing off", StatusCode::OK), (false, "failed", StatusCode::SERVICE_UNAVAILABLE)]
    {
        let (chronicle, ops_db, console) = in_memory();
        chronicle.append(Append::of([note()])).await.unwrap();
        let projector = Arc::new(Failing { inner: Arc::new(ops_db.projector()), passes });
        let hour = Duration::from_secs(3600);
        let settings = Settings::default().backoff_first(hour).backoff_most(hour);
        let runtime = Runtime::spawn(chronicle, projector, settings);
        let failed = async {
            while runtime.status().last_error.is_none() {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, failed).await.unwrap();
        let router = console.projector(&runtime).router();
        assert_eq!(get(&router, "/healthz").await.status(), health, "{state}");
        let ready = get(&router, "/readyz").await;
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE, "{state}");
        let body: Value = serde_json::from_str(&text(ready).await).unwrap();
        assert_eq!(body["reason"], format!("the projector is {state}"));
        let error = body["last_error"]["message"].as_str().unwrap();
        assert!(error.contains("the disk is full"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ops_db_that_is_far_behind_is_not_ready_nor_is_one_that_stands_still() {
    let (chronicle, _, console) = in_memory();
    let router = console.router();
    let reason = async || {
        assert_eq!(get(&router, "/healthz").await.status(), StatusCode::OK);
        let ready = get(&router, "/readyz").await;
        let is_ready = ready.status() == StatusCode::OK;
        let body: Value = serde_json::from_str(&text(ready).await).unwrap();
        assert_eq!(body["ok"], is_ready);
        body["reason"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(reason().await, "");
    // Quiet is no standstill, however long it was.
    tokio::time::advance(Duration::from_secs(3600)).await;
    chronicle.append(Append::of([note()])).await.unwrap();
    assert_eq!(reason().await, "");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(reason().await, "the projector is stalled");

    let (chronicle, _, console) = in_memory();
    let router = console.router();
    let notes: Vec<NewEntry> = std::iter::repeat_with(note).take(10_001).collect();
    chronicle.append(Append::of(notes)).await.unwrap();
    let ready = text(get(&router, "/readyz").await).await;
    assert!(ready.contains("the Ops DB is 10001 entries behind"), "{ready}");
}
