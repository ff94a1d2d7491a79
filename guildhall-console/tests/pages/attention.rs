//! What needs attention, and how much of it is loaded and counted.

use super::*;

/// Takes an artifact from its draft to its deployment.
async fn deploy(guild: &Guild, id: ArtifactId) {
    let act = |second| Act::new("a", "b", at(second));
    guild.record(Command::open_ceremony(id, CeremonyId::new(), act(2))).await;
    guild.record(Command::transition(id, CustodyState::Ratified, act(3))).await;
    guild.record(Command::transition(id, CustodyState::Deployed, act(4))).await;
}

fn verdict(artifact_id: ArtifactId, outcome: Outcome, verified_at: Timestamp) -> Command {
    let (evidence, verifier) = (Json::null(), "scanner".to_owned());
    let target = None;
    VerificationRecorded { artifact_id, evidence, outcome, target, verified_at, verifier }.into()
}

#[tokio::test]
async fn what_runs_needs_attention_until_there_is_a_new_verdict() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let page = async || text(get(&router, "/").await).await;
    let empty = page().await;
    assert!(empty.contains("Nothing is governed yet."), "{empty}");
    let id = guild.draft("zone", "board").await;
    let calm = page().await;
    assert!(calm.contains("Nothing is drifted, unknown, failed, quarantined or stale."), "{calm}");
    // Never verified is not verified lately.
    deploy(&guild, id).await;
    let stale = page().await;
    assert!(stale.contains("no verdict in the last 14 days"), "{stale}");
    guild.record(verdict(id, Outcome::Passed, at(5))).await;
    let stale = page().await;
    assert!(stale.contains("no verdict in the last 14 days"), "{stale}");
    guild.record(verdict(id, Outcome::Passed, Timestamp::now())).await;
    let calm = page().await;
    assert!(!calm.contains("no verdict in the last"), "{calm}");
}

#[tokio::test]
async fn a_failed_verdict_needs_attention_until_its_verifier_finds_otherwise() {
    let guild = Guild::empty().await;
    let router = guild.console().router();
    let id = guild.draft("zone", "board").await;
    let needs = async || {
        let page = text(get(&router, "/").await).await;
        let count = page.split("data-count=\"").nth(1).unwrap().split('"').next().unwrap();
        (count.to_owned(), page.contains(&format!("id=\"failed-{id}\"")))
    };
    assert_eq!(needs().await, ("0".to_owned(), false));
    guild.record(verdict(id, Outcome::Failed, at(5))).await;
    assert_eq!(needs().await, ("1".to_owned(), true));
    let listed = json(&router, "/api/v1/artifacts?verdict=failed").await;
    assert_eq!(listed["rows"][0]["id"], id.to_string());
    let stands = json(&router, "/api/v1/verifications?standing=true&outcome=failed").await;
    assert_eq!(stands["rows"].as_array().unwrap().len(), 1);
    guild.record(verdict(id, Outcome::Passed, at(6))).await;
    assert_eq!(needs().await, ("0".to_owned(), false));
    let stands = json(&router, "/api/v1/verifications?standing=true&outcome=failed").await;
    assert_eq!(stands["rows"].as_array().unwrap().len(), 0);
}

/// An Ops DB that counts the verdicts and the entries of timelines that it hands out, and whose pages of artifacts are short.
pub(crate) struct CountedRows(
    pub(crate) Arc<dyn OpsDb>,
    pub(crate) Arc<AtomicUsize>,
    pub(crate) u32,
);

#[async_trait]
impl OpsDb for CountedRows {
    async fn snapshot(&self) -> Result<Box<dyn OpsDb>, StoreError> {
        let moment = self.0.snapshot().await?;
        Ok(Box::new(Self(moment.into(), Arc::clone(&self.1), self.2)))
    }

    async fn scan(&self) -> Result<Box<dyn Scan>, StoreError> {
        self.0.scan().await
    }

    async fn as_of(&self, moment: AsOf) -> Result<Box<dyn OpsDb>, AsOfError> {
        let then = self.0.as_of(moment).await?;
        Ok(Box::new(Self(then.into(), Arc::clone(&self.1), self.2)))
    }

    async fn overview(&self) -> Result<Overview, StoreError> {
        self.0.overview().await
    }

    async fn revisions(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ArtifactRevision>, StoreError> {
        self.0.revisions(id, after, limit).await
    }

    async fn changes(&self, query: &ChangeQuery) -> Result<Page<Change>, StoreError> {
        self.0.changes(query).await
    }

    async fn target_changes(&self, query: &ChangeQuery) -> Result<Page<TargetChange>, StoreError> {
        self.0.target_changes(query).await
    }

    async fn timeline(&self, query: &TimelineQuery) -> Result<Page<TimelineEntry>, StoreError> {
        let page = self.0.timeline(query).await?;
        self.1.fetch_add(page.rows.len(), Ordering::Relaxed);
        Ok(page)
    }

    async fn ceremonies_of(
        &self,
        actor: &str,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError> {
        self.0.ceremonies_of(actor, after, limit).await
    }

    async fn health_times(&self, query: &PeriodQuery) -> Result<Page<HealthTimes>, StoreError> {
        self.0.health_times(query).await
    }

    async fn drifts(&self, query: &PeriodQuery) -> Result<Page<DriftSpan>, StoreError> {
        self.0.drifts(query).await
    }

    async fn recovery(&self, query: &PeriodQuery) -> Result<Recovery, StoreError> {
        self.0.recovery(query).await
    }

    async fn posture(&self, query: &PostureQuery) -> Result<Vec<PostureDay>, StoreError> {
        self.0.posture(query).await
    }

    async fn decided(&self, id: ArtifactId, target: &str) -> Result<Option<Decided>, StoreError> {
        self.0.decided(id, target).await
    }

    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactSummary>, StoreError> {
        let limit = query.limit.min(self.2);
        self.0.artifacts(&query.clone().limit(limit)).await
    }

    async fn artifact(&self, id: ArtifactId) -> Result<Option<ArtifactDetail>, StoreError> {
        self.0.artifact(id).await
    }

    async fn chain(
        &self,
        id: ArtifactId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<CustodyTransition>, StoreError> {
        self.0.chain(id, after, limit).await
    }

    async fn accord(&self, id: AccordId) -> Result<Option<AccordBinding>, StoreError> {
        self.0.accord(id).await
    }

    async fn accords(&self, query: &AccordQuery) -> Result<Page<AccordBinding>, StoreError> {
        self.0.accords(query).await
    }

    async fn ceremony(
        &self,
        id: CeremonyId,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Ceremony>, StoreError> {
        self.0.ceremony(id, after, limit).await
    }

    async fn open_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<OpenCeremony>, StoreError> {
        self.0.open_ceremonies(after, limit).await
    }

    async fn closed_ceremonies(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ClosedCeremony>, StoreError> {
        self.0.closed_ceremonies(after, limit).await
    }

    async fn deployments(
        &self,
        query: &DeploymentQuery,
    ) -> Result<Page<DeploymentState>, StoreError> {
        self.0.deployments(query).await
    }

    async fn verifications(
        &self,
        query: &VerificationQuery,
    ) -> Result<Page<VerificationResult>, StoreError> {
        let found = self.0.verifications(query).await?;
        self.1.fetch_add(found.rows.len(), Ordering::Relaxed);
        Ok(found)
    }

    async fn quarantined(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<QuarantinedEntry>, StoreError> {
        self.0.quarantined(after, limit).await
    }

    async fn quarantined_at(
        &self,
        position: Position,
    ) -> Result<Option<QuarantinedEntry>, StoreError> {
        self.0.quarantined_at(position).await
    }

    async fn count(&self, counted: &Counted, bound: u32) -> Result<Total, StoreError> {
        self.0.count(counted, bound).await
    }

    async fn checkpoint(&self, projector: &str) -> Result<Option<Checkpoint>, StoreError> {
        self.0.checkpoint(projector).await
    }

    async fn checkpoints(&self) -> Result<Vec<ProjectorCheckpoint>, StoreError> {
        self.0.checkpoints().await
    }
}

#[tokio::test]
async fn the_dashboard_loads_few_verdicts_however_many_failed() {
    let guild = Guild::empty().await;
    let (id, other) = (guild.draft("zone", "board").await, guild.draft("a-zone", "board").await);
    let failed = |artifact_id, nth: i64| VerificationRecorded {
        artifact_id,
        evidence: Json::null(),
        outcome: Outcome::Failed,
        target: Some(format!("target-{nth}")),
        verified_at: at(100 + nth),
        verifier: "scanner".to_owned(),
    };
    for nth in 0..60 {
        guild.record(failed(id, nth)).await;
    }
    guild.record(failed(other, -10)).await;
    let counted = Arc::new(CountedRows(Arc::clone(&guild.ops_db), Arc::default(), 500));
    let router = Console::new(counted.clone(), guild.orchestrator.clone()).router();
    let page = text(get(&router, "/").await).await;
    // The latest five, the latest failed twenty, and three of one artifact and one of the other.
    let loaded = counted.1.load(Ordering::Relaxed);
    assert!(loaded <= 29, "{loaded} verdicts for one dashboard");
    let shown = |id| page.split(&format!("id=\"failed-{id}\"")).nth(1).unwrap();
    let of_it = shown(id).split("</li>").next().unwrap();
    for nth in 57..60 {
        assert!(of_it.contains(&format!("target-{nth}")), "{of_it}");
    }
    assert!(!of_it.contains("target-56") && of_it.contains(" and more"), "{of_it}");
    let of_other = shown(other).split("</li>").next().unwrap();
    assert!(of_other.contains("target--10") && !of_other.contains(" and more"), "{of_other}");
    assert!(shown(id).contains(&format!("id=\"failed-{other}\"")), "the newest comes first");
}

/// An artifact of a tier that drifted in this second; its custody, if it has any, ends so.
async fn drifted(guild: &Guild, name: &str, tier: usize, second: i64, retired: Option<bool>) {
    let json = || Json::parse("{}").unwrap();
    let accord = AccordBound::new("accord", "board", json(), at(0));
    let schema = "https://example.com/zone.json";
    let tier = guildhall_core::Tier::ALL[tier];
    let artifact = guildhall_core::ArtifactRegistered::new(
        accord.accord_id,
        "dns_zone",
        name,
        tier,
        json(),
        schema,
    );
    let (id, cid) = (artifact.artifact_id, artifact.cid);
    guild.record(accord).await;
    guild.record(artifact).await;
    if let Some(retired) = retired {
        let act = || Act::new("a", "b", at(1));
        guild.record(Command::transition(id, CustodyState::Drafted, act())).await;
        if retired {
            guild.record(Command::transition(id, CustodyState::Retired, act())).await;
        }
    }
    let seen = guildhall_core::DeploymentObserved {
        artifact_id: id,
        desired_cid: cid,
        detail: Json::null(),
        observed_at: at(second),
        observed_cid: Some(guildhall_core::Cid::from_digest([9; 32])),
        target: "eu".to_owned(),
    };
    guild.record(seen).await;
}

#[tokio::test]
async fn a_new_drift_is_seen_however_many_older_ones_there_are() {
    let guild = Guild::empty().await;
    for nth in 0..6 {
        drifted(&guild, &format!("a-old-{nth}"), 0, 10 + nth, Some(false)).await;
    }
    drifted(&guild, "less-critical", 1, 90, Some(false)).await;
    drifted(&guild, "over", 0, 91, Some(true)).await;
    drifted(&guild, "of-nobody", 0, 92, None).await;
    drifted(&guild, "z-new", 0, 80, Some(false)).await;
    let page = text(get(&guild.console().router(), "/").await).await;
    let attention =
        page.split("id=\"attention\"").nth(1).unwrap().split("</section>").next().unwrap();
    let names: Vec<_> = attention
        .match_indices("class=\"name\"")
        .map(|(at, _)| attention[at..].split("<bdi>").nth(1).unwrap().split('<').next().unwrap())
        .collect();
    assert_eq!(names, ["z-new", "a-old-5", "a-old-4", "a-old-3", "a-old-2"]);
    // What is over and what nobody took into custody is neither listed nor counted.
    assert!(page.contains("data-count=\"8\"") && page.contains("All of them: 8"), "{attention}");
    assert!(page.contains("<title>(8) Dashboard"), "{page}");
}

#[tokio::test]
async fn what_is_not_counted_to_its_end_is_said_to_be_more() {
    let guild = Guild::empty().await;
    for nth in 0..7 {
        drifted(&guild, &format!("zone-{nth}"), 0, 10 + nth, Some(false)).await;
    }
    for (page, total) in [(6, "6+"), (7, "7")] {
        let counted = CountedRows(Arc::clone(&guild.ops_db), Arc::default(), page);
        let console = Console::new(Arc::new(counted), guild.orchestrator.clone());
        let shown = text(get(&console.router(), "/").await).await;
        assert!(shown.contains(&format!("All of them: {total}<")), "{shown}");
        let is_cut = shown.contains("these are the newest of the first 500 by tier and name");
        assert_eq!(is_cut, total == "6+", "{shown}");
        assert!(shown.contains(&format!("<title>({total}) Dashboard")), "{shown}");
    }
}
