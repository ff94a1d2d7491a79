//! What pages say of a chain, and of a log that is not what it was.

use super::*;

#[tokio::test]
async fn a_chain_that_somebody_changed_is_shown_as_broken() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    guild.record(Command::open_ceremony(id, CeremonyId::new(), Act::new("a", "b", at(2)))).await;
    guild.record(Command::transition(id, CustodyState::Ratified, Act::new("a", "b", at(3)))).await;
    let router = guild.console().router();
    let page_of = async || text(get(&router, &format!("/artifacts/{id}")).await).await;
    assert!(page_of().await.contains("chain holds"));
    guild.meddle(
        "DROP TRIGGER custody_transitions_refuse_update;
         UPDATE custody_transitions SET actor = 'mallory' WHERE seq = 2",
    );
    let page = page_of().await;
    assert!(page.contains("chain broken") && page.contains("Link 2 fails CC06"), "{page}");
    assert!(!page.contains("chain holds"), "{page}");
    let chain = json(&router, &format!("/api/v1/artifacts/{id}/chain")).await;
    for (at, code) in [(0, Value::Null), (1, "CC06".into()), (2, Value::Null)] {
        assert_eq!(chain["rows"][at]["verdict"]["code"], code, "{at}");
        assert_eq!(chain["rows"][at]["verdict"]["holds"], code.is_null(), "{at}");
    }
}

/// What a test makes of where a Chronicle ends.
type Meddling = fn(Head) -> Result<Head, StoreError>;

/// A Chronicle that ends where a test wants it to.
struct Meddled(Arc<dyn Chronicle>, Mutex<Option<Meddling>>);

#[async_trait]
impl Chronicle for Meddled {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        self.0.origin().await
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.0.fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        self.0.append(append).await
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        self.0.read(after, limit).await
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.0.read_stream(stream, after, limit).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let head = self.0.head().await?;
        let meddling = *self.1.lock().unwrap();
        meddling.map_or(Ok(head.clone()), |meddling| meddling(head))
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        self.0.wait_beyond(position, patience).await
    }
}

#[tokio::test]
async fn where_the_log_ends_before_the_checkpoint_nothing_is_said_to_be_well() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let meddled = Arc::new(Meddled(Arc::clone(&guild.chronicle), Mutex::new(None)));
    let ops_db = Arc::clone(&guild.ops_db);
    let orchestrator = CeremonyOrchestrator::new(meddled.clone(), ops_db.clone()).start();
    let router = Console::new(ops_db, orchestrator).projector(&guild.runtime).router();
    let page_of = async || text(get(&router, &format!("/artifacts/{id}")).await).await;
    assert_eq!(get(&router, "/readyz").await.status(), StatusCode::OK);
    assert!(page_of().await.contains("chain holds"));
    *meddled.1.lock().unwrap() = Some(|head| Ok(Head { position: Position::new(2), ..head }));
    let ready = get(&router, "/readyz").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready = text(ready).await;
    assert!(ready.contains("the projector is ahead of the log"), "{ready}");
    let page = page_of().await;
    assert!(!page.contains("chain holds") && page.contains("not sure"), "{page}");
    let metrics = text(get(&router, "/metrics").await).await;
    assert!(metrics.contains("guildhall_projector_healthy 0\n"), "{metrics}");
    let dashboard = text(get(&router, "/").await).await;
    assert!(dashboard.contains("The projector is ahead of the log"), "{dashboard}");
}

#[tokio::test]
async fn where_the_log_is_not_what_it_was_pages_and_readiness_say_so() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let meddled = Arc::new(Meddled(Arc::clone(&guild.chronicle), Mutex::new(None)));
    let ops_db = Arc::clone(&guild.ops_db);
    let orchestrator = CeremonyOrchestrator::new(meddled.clone(), ops_db.clone()).start();
    let router = Console::new(ops_db, orchestrator).projector(&guild.runtime).router();
    *meddled.1.lock().unwrap() = Some(|_| {
        let fault = LogFault::FileReplaced { path: "/var/lib/guildhall.db".into() };
        Err(StoreError::permanent("reading the Chronicle", fault))
    });
    let said = "the log is not what it was: ";
    for path in ["/", "/artifacts", "/ceremonies", "/quarantine", &format!("/artifacts/{id}")] {
        let page = get(&router, path).await;
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        let page = text(page).await;
        assert!(page.contains(said) && !page.contains("chain holds"), "{path}: {page}");
        assert!(!page.contains("/var/lib"), "where the file lies is nobody's business: {page}");
    }
    let ready = get(&router, "/readyz").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let ready: Value = serde_json::from_str(&text(ready).await).unwrap();
    let reason = ready["reason"].as_str().unwrap();
    assert!(reason.starts_with(said) && !reason.contains("/var/lib"), "{ready}");
    let status = text(get(&router, "/api/v1/status").await).await;
    assert!(status.contains(said) && !status.contains("/var/lib"), "{status}");
}

/// A Chronicle that grows just when somebody asks where it ends.
struct Growing {
    inner: Arc<dyn Chronicle>,
    next: Mutex<Option<Command>>,
    runtime: Runtime,
}

#[async_trait]
impl Chronicle for Growing {
    async fn origin(&self) -> Result<Option<Origin>, StoreError> {
        self.inner.origin().await
    }

    async fn fix_origin(&self, origin: Origin) -> Result<Origin, StoreError> {
        self.inner.fix_origin(origin).await
    }

    async fn append(&self, append: Append) -> Result<Vec<Appended>, AppendError> {
        self.inner.append(append).await
    }

    async fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Entry>, StoreError> {
        self.inner.read(after, limit).await
    }

    async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.read_stream(stream, after, limit).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let next = self.next.lock().unwrap().take();
        if let Some(next) = next {
            let recorder = Recorder::new(Arc::clone(&self.inner), CustodyPolicy::standard());
            let position = recorder.record(next).await.unwrap().position;
            timeout(SOON, self.runtime.wait_until(position)).await.unwrap().unwrap();
        }
        self.inner.head().await
    }

    async fn wait_beyond(
        &self,
        position: Position,
        patience: Duration,
    ) -> Result<Position, StoreError> {
        self.inner.wait_beyond(position, patience).await
    }
}

#[tokio::test]
async fn an_artifacts_page_claims_no_position_beyond_what_it_shows() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    let open = Command::open_ceremony(id, CeremonyId::new(), Act::new("a", "b", at(2)));
    let growing = Growing {
        inner: Arc::clone(&guild.chronicle),
        next: Mutex::new(Some(open)),
        runtime: guild.runtime.clone(),
    };
    let ops_db = Arc::clone(&guild.ops_db);
    let orchestrator = CeremonyOrchestrator::new(Arc::new(growing), ops_db.clone()).start();
    let router = Console::new(ops_db, orchestrator).router();
    let page = text(get(&router, &format!("/artifacts/{id}")).await).await;
    assert!(page.contains(r#"data-position="4""#), "{page}");
    let badges = page.split(r#"id="badges""#).nth(1).unwrap().split("</h1>").next().unwrap();
    assert!(badges.split("</div>").next().unwrap().contains("ceremony open"), "{badges}");
}

/// The end of a chain is held against the artifact's own row, which is written with it.
#[tokio::test]
async fn a_chain_that_lost_its_end_is_shown_as_broken() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    guild.record(Command::open_ceremony(id, CeremonyId::new(), Act::new("a", "b", at(2)))).await;
    let router = guild.console().router();
    let (page, api) = (format!("/artifacts/{id}"), format!("/api/v1/artifacts/{id}/chain"));
    assert!(text(get(&router, &page).await).await.contains("chain holds"));
    assert!(json(&router, &api).await["discrepancy"].is_null());
    guild.meddle("DROP TRIGGER custody_transitions_refuse_delete");
    for (sql, found) in [
        (
            "DELETE FROM custody_transitions WHERE seq = 2",
            "row says link 2 (ceremony open), its chain ends with link 1 (drafted)",
        ),
        (
            "UPDATE governed_artifacts SET custody_state = 'retired', custody_seq = 1",
            "row says link 1 (retired), its chain ends with link 1 (drafted)",
        ),
        (
            "UPDATE governed_artifacts SET custody_state = NULL, custody_seq = NULL",
            "row says no link, its chain ends with link 1 (drafted)",
        ),
        (
            "DELETE FROM custody_transitions;
             UPDATE governed_artifacts SET custody_state = 'drafted', custody_seq = 1",
            "row says link 1 (drafted), its chain ends with no link",
        ),
    ] {
        guild.meddle(sql);
        let page = text(get(&router, &page).await).await;
        assert!(page.contains("chain broken") && page.contains(found), "{found}: {page}");
        assert!(!page.contains("chain holds") && !page.contains("not drafted yet"), "{page}");
        let discrepancy = json(&router, &api).await["discrepancy"].clone();
        let found = found.replace("ceremony open", "ceremony_open");
        assert!(discrepancy.as_str().unwrap().ends_with(&found), "{discrepancy}");
    }
}

#[tokio::test]
async fn every_link_of_a_long_chain_is_listed_and_says_whether_it_was_recomputed() {
    let guild = Guild::empty().await;
    let id = guild.draft("zone", "board").await;
    guild.meddle(
        "WITH RECURSIVE seq(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM seq WHERE n < 10200)
         INSERT INTO custody_transitions
         SELECT artifact_id, n, from_state, to_state, cid, actor, reason, ceremony_id, evidence,
                occurred_at, prev_hash, hash, position
         FROM custody_transitions, seq WHERE custody_transitions.seq = 1",
    );
    let router = guild.console().router();
    let (mut after, mut listed) = ("[9900]".to_owned(), 9900);
    loop {
        let path = format!("/api/v1/artifacts/{id}/chain?after={after}&limit=150");
        let page = json(&router, &path).await;
        for row in page["rows"].as_array().unwrap() {
            listed += 1;
            assert_eq!(row["seq"], listed);
            assert_eq!(row["verdict"].is_null(), listed > 10_000, "{row}");
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(listed, 10_200);
    let page = text(get(&router, &format!("/artifacts/{id}")).await).await;
    assert!(page.contains("Later links were not recomputed."));
}
