//! The proof of the log: what is shown of seals, what is taken away, and what is said where something was
//! changed.

use guildhall_core::{Seals, StoredCosignature};
use guildhall_projector::proof::{Auditor, AuditorSettings, collect, collect_entry};
use guildhall_proof::evidence::{self, EntryEvidence, Evidence, Trust};
use guildhall_proof::policy::Policy;
use guildhall_proof::verify::Known;
use guildhall_proof::{KeyType, LogKeys, SignedSeal, Signer as _, SigningKey, cosign};

use super::*;

async fn keys(guild: &Guild) -> LogKeys {
    let origin = guild.log.origin().await.unwrap().unwrap();
    LogKeys::single(origin, guild.key().await.key().clone()).unwrap()
}

async fn known(guild: &Guild) -> Known {
    Known { keys: Some(keys(guild).await), witnesses: None }
}

async fn artifact(guild: &Guild) -> ArtifactId {
    guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows[0].id
}

async fn page(router: &Router, path: &str) -> String {
    let response = timeout(SOON, get(router, path)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    text(response).await
}

/// What a page says, without its markup.
fn words(page: &str) -> String {
    let mut words = String::new();
    for piece in page.split('<').skip(1) {
        words.push_str(piece.split_once('>').map_or("", |(_, text)| text));
    }
    words.replace('\u{202f}', "").replace("&amp;", "&").replace("&quot;", "\"")
}

#[track_caller]
fn says(page: &str, facts: &[&str]) {
    let said = words(page);
    for fact in facts {
        assert!(said.contains(fact), "{fact:?} is not in: {said}");
    }
}

fn witness() -> SigningKey {
    let name = "witness.example/w".parse().unwrap();
    SigningKey::from_seed(name, KeyType::Cosignature, &[9; 32]).unwrap()
}

/// Has the last seal cosigned, and the cosignature kept.
async fn cosigned(log: &dyn Seals, unix_seconds: u64) {
    let stored = log.last_seal().await.unwrap().unwrap();
    let seal = SignedSeal::parse(&stored.note).unwrap();
    let mut all = seal.clone();
    all.add(cosign(&seal, &witness(), unix_seconds).await.unwrap()).unwrap();
    let text = all.to_string();
    let (line, key_name) =
        (text.lines().last().unwrap().to_owned(), "witness.example/w".to_owned());
    let is_new = log.save_cosignature(StoredCosignature { size: stored.size, key_name, line });
    assert!(is_new.await.unwrap());
}

#[tokio::test]
async fn a_log_that_was_never_sealed_is_said_to_be_so_with_what_seals_it() {
    let guild = Guild::with_story().await;
    let router = guild.console().router();
    let proof = page(&router, "/proof").await;
    says(&proof, &["never sealed", "guildhall key new", "guildhall seal --key FILE --every 60"]);
    says(
        &proof,
        &["No public key of the log was given", "This console does not ask it", "guildhall audit"],
    );
    let id = artifact(&guild).await;
    for path in [format!("/artifacts/{id}"), "/log/7".to_owned()] {
        says(&page(&router, &path).await, &["The log was never sealed."]);
    }
    for path in [format!("/artifacts/{id}/evidence.json"), "/log/7/entry.tlog-proof".to_owned()] {
        let response = get(&router, &path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        says(&text(response).await, &["the log was never sealed, so nothing of it can be proved"]);
    }
    assert_eq!(json(&router, "/api/v1/seals").await["rows"], serde_json::json!([]));
}

#[tokio::test]
async fn a_console_that_has_no_seals_says_so() {
    let (_, _, console) = in_memory();
    let router = console.router();
    says(&page(&router, "/proof").await, &["was not given the seals of its log"]);
    for path in ["/api/v1/seals", "/log/1/entry.tlog-proof"] {
        let response = get(&router, path).await;
        assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED, "{path}");
        assert!(text(response).await.contains("set up without the seals of its log"));
    }
}

#[tokio::test]
async fn seals_come_with_who_signed_and_cosigned_them_page_by_page() {
    let guild = Guild::with_story().await;
    let mut sizes = vec![guild.seal().await.get()];
    for nth in 0..4 {
        guild.draft(&format!("zone {nth}"), "board").await;
        sizes.push(guild.seal().await.get());
    }
    sizes.reverse();
    cosigned(&*guild.log, 1_800_000_000).await;
    let policy = format!("witness w {}\nquorum w\n", witness().key());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let known = Known { witnesses: Some(policy), ..known(&guild).await };
    let router = guild.console().known(known).router();

    let all = json(&router, "/api/v1/seals").await;
    let rows = all["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["size"].as_u64().unwrap()).collect::<Vec<_>>(), sizes);
    let name = guild.key().await.key().name().to_string();
    for (nth, row) in rows.iter().enumerate() {
        assert_eq!(row["signers"], serde_json::json!([name]), "{row}");
        assert_eq!((&row["is_consistent"], &row["has_quorum"]), (&true.into(), &(nth == 0).into()));
        assert_eq!(row["faults"], serde_json::json!([]), "{row}");
    }
    let last = &rows[0];
    let cosignature = serde_json::json!([{
        "key_name": "witness.example/w", "cosigned_at": "2027-01-15T08:00:00.000000Z", "is_verified": true,
    }]);
    assert_eq!(last["cosignatures"], cosignature);
    // What is listed can be kept: a seal of its own, with its cosignature.
    let seal = SignedSeal::parse(last["seal"].as_str().unwrap()).unwrap();
    assert_eq!((seal.seal().size, seal.note().signatures().len()), (sizes[0], 2));

    // Pages on, and back.
    let (mut path, mut found) = ("/api/v1/seals?limit=2".to_owned(), Vec::new());
    let sizes_of = |page: &Value| {
        let rows = page["rows"].as_array().unwrap().iter();
        rows.map(|row| row["size"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let last_page = loop {
        let page = json(&router, &path).await;
        found.extend(sizes_of(&page));
        let Some(next) = page["next"].as_str() else { break page };
        path = format!("/api/v1/seals?limit=2&after={next}");
    };
    assert_eq!(found, sizes);
    let back = last_page["previous"].as_str().unwrap().replace('<', "%3C");
    let back = json(&router, &format!("/api/v1/seals?limit=2&after={back}")).await;
    assert_eq!(sizes_of(&back), sizes[2..4]);

    let proof = page(&router, "/proof").await;
    let lacks = "no quorum 0 of the policy's 1 witnesses cosigned, which is no quorum";
    says(&proof, &["grew out of each of these, recomputed just now", &name, lacks]);
    for size in sizes {
        assert!(proof.contains(&format!("<tr id=\"s{size}\">")), "{size}: {proof}");
    }
    for garbage in ["garbage", "%7B%7D"] {
        let refused = get(&router, &format!("/proof?after={garbage}")).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    }
    let beyond = page(&router, "/proof?after=[1]").await;
    says(&beyond, &["There is no seal before these."]);
}

#[tokio::test]
async fn what_is_not_verified_is_not_said_to_be() {
    let guild = Guild::with_story().await;
    guild.seal().await;
    cosigned(&*guild.log, 1_800_000_000).await;
    let router = guild.console().router();
    let row = json(&router, "/api/v1/seals").await["rows"][0].clone();
    assert_eq!((&row["signers"], &row["faults"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert_eq!(
        (&row["has_quorum"], &row["cosignatures"][0]["is_verified"]),
        (&Value::Null, &false.into())
    );
    let proof = page(&router, "/proof").await;
    says(&proof, &["not verified", "witness.example/w", "(not verified)"]);
    assert!(!words(&proof).contains("quorum"));
    // Another's key does not make it right.
    let origin = guild.log.origin().await.unwrap().unwrap();
    let other = SigningKey::from_seed(origin.as_str().parse().unwrap(), KeyType::Ed25519, &[2; 32]);
    let keys = LogKeys::single(origin, other.unwrap().key().clone()).unwrap();
    let router = guild.console().known(Known { keys: Some(keys), witnesses: None }).router();
    let row = json(&router, "/api/v1/seals").await["rows"][0].clone();
    assert_eq!(row["faults"], serde_json::json!(["signed by none of the known keys"]));
    says(&page(&router, "/proof").await, &["wrong", "signed by none of the known keys"]);
}

#[tokio::test]
async fn what_is_taken_away_holds_with_public_keys_alone() {
    let guild = Guild::with_story().await;
    let sealed = guild.seal().await;
    let router = guild.console().router();
    let trust = Trust::new(keys(&guild).await);
    for row in guild.ops_db.artifacts(&ArtifactQuery::default()).await.unwrap().rows {
        let shown = page(&router, &format!("/artifacts/{}", row.id)).await;
        says(&shown, &["All of its entries, by the last seal."]);
        let path = format!("/artifacts/{}/evidence.json", row.id);
        assert!(shown.contains(&format!("href=\"{path}\"")), "{shown}");
        let response = get(&router, &path).await;
        let name = format!("attachment; filename=\"{}.evidence.json\"", row.id);
        assert_eq!(response.headers()[header::CONTENT_DISPOSITION], name.as_str());
        let file = text(response).await;
        let report = evidence::check(&Evidence::parse(&file).unwrap(), &trust);
        assert!(report.holds(), "{:?}", report.failure);
        let same = collect(Arc::clone(&guild.log), row.id, &CustodyPolicy::standard()).await;
        assert_eq!(file, same.unwrap().to_text().unwrap());
    }
    for position in [1, 60, sealed.get()] {
        let path = format!("/log/{position}/entry.tlog-proof");
        let shown = page(&router, &format!("/log/{position}")).await;
        assert!(shown.contains(&format!("href=\"{path}\"")), "{shown}");
        let file = page(&router, &path).await;
        assert!(EntryEvidence::parse(&file).unwrap().check(&trust).holds());
        let position = Position::try_from(position).unwrap();
        let same = collect_entry(Arc::clone(&guild.log), position).await.unwrap();
        assert_eq!(file, same.to_string());
    }
    for (path, said) in [
        ("/log/0/entry.tlog-proof".to_owned(), "no entry at position 0 is sealed"),
        ("/log/999/entry.tlog-proof".to_owned(), "no entry at position 999 is sealed"),
        (format!("/artifacts/{}/evidence.json", ArtifactId::new()), "has no entry among the 150"),
    ] {
        let response = get(&router, &path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        says(&text(response).await, &[said]);
    }
    let token =
        Access::Token { token: "0123456789abcdef".to_owned(), hosts: vec!["localhost".to_owned()] };
    let closed = guild.console().access(token).router();
    for path in ["/proof", "/api/v1/seals", "/log/1/entry.tlog-proof"] {
        assert_eq!(get(&closed, path).await.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn what_came_after_the_last_seal_is_said_not_to_be_sealed() {
    let guild = Guild::with_story().await;
    let old = artifact(&guild).await;
    guild.seal().await;
    let new = guild.draft("a later zone", "board").await;
    let head = guild.log.head().await.unwrap().position;
    let router = guild.console().router();
    let shown = page(&router, &format!("/artifacts/{new}")).await;
    says(&shown, &["None of its entries was there when the log was last sealed."]);
    assert!(!shown.contains("evidence.json"), "{shown}");
    says(
        &page(&router, &format!("/log/{head}")).await,
        &["It came after the last seal, of 151 entries"],
    );
    says(&page(&router, "/proof").await, &["Not sealed yet3 entries"]);
    // One that goes on is sealed in part.
    let cid = guild.ops_db.artifact(old).await.unwrap().unwrap().artifact.cid;
    let seen = guildhall_core::DeploymentObserved::new(
        old,
        "elsewhere",
        cid,
        Some(cid),
        Json::parse("{}").unwrap(),
        at(3),
    );
    let position = guild.record(seen).await;
    let shown = page(&router, &format!("/artifacts/{old}")).await;
    says(&shown, &["sealed in part", &format!("from position {position} on are not sealed yet")]);
    assert!(shown.contains("evidence.json"));
}

/// As the tables' owner does it: without triggers.
fn tamper(guild: &Guild, table: &str, sql: &str) {
    let connection = guild.connect();
    let triggers =
        "SELECT coalesce(group_concat('DROP TRIGGER ' || name, ';'), '') FROM sqlite_schema
                    WHERE type = 'trigger' AND tbl_name = ?1";
    let drop: String = connection.query_row(triggers, [table], |row| row.get(0)).unwrap();
    connection.execute_batch(&format!("{drop}; {sql}")).unwrap();
}

#[tokio::test]
async fn what_was_changed_is_said_and_not_handed_out_as_proof() {
    for (table, sql, listed, download) in [
        (
            "chronicle_seals",
            "UPDATE chronicle_seals SET root = zeroblob(32) WHERE size = 151",
            "states another size or root than its note",
            None,
        ),
        (
            "chronicle_streams",
            "UPDATE chronicle_streams SET version = version + 1",
            "grew out of each of these",
            Some((500, "make another index")),
        ),
        (
            "chronicle_entries",
            "UPDATE chronicle_entries SET leaf_hash = zeroblob(32) WHERE position = 3",
            "now they have the root",
            Some((500, "now they have the root")),
        ),
        (
            "chronicle_entries",
            "UPDATE chronicle_entries SET payload = replace(payload, '\"name\":\"', '\"name\":\"x')",
            "grew out of each of these",
            Some((503, "the log is not what it was")),
        ),
        (
            "chronicle_seals",
            "UPDATE chronicle_seals SET note = 'x' WHERE size = 151",
            "its note is not valid",
            None,
        ),
    ] {
        let guild = Guild::with_story().await;
        guild.seal().await;
        guild.draft("a later zone", "board").await;
        guild.seal().await;
        tamper(&guild, table, sql);
        let router = guild.console().known(known(&guild).await).router();
        says(&page(&router, "/proof").await, &[listed]);
        let path = format!("/artifacts/{}/evidence.json", artifact(&guild).await);
        let response = get(&router, &path).await;
        match download {
            None => assert_eq!(response.status(), StatusCode::OK, "{sql}"),
            Some((status, said)) => {
                assert_eq!(response.status(), status, "{sql}");
                says(&text(response).await, &[said]);
            }
        }
    }
}

#[tokio::test]
async fn the_last_verification_and_audit_are_shown_as_they_were() {
    let guild = Guild::with_story().await;
    guild.seal().await;
    let settings = AuditorSettings::default().every(Duration::from_millis(5));
    let (log, ops_db, policy) =
        (Arc::clone(&guild.log), Arc::clone(&guild.ops_db), CustodyPolicy::standard());
    let auditor = Auditor::start(log, ops_db, policy, known(&guild).await, settings);
    let mut status = auditor.watch_status();
    let first = status.wait_for(|status| status.audited.is_some());
    drop(timeout(SOON, first).await.unwrap().unwrap());
    let router = guild.console().known(known(&guild).await).auditor(&auditor).router();
    let shown = page(&router, "/proof").await;
    says(&shown, &["The log is what was sealed: 151 entries read, sealed up to position 151."]);
    says(&shown, &["Not known: whether entries were cut off the end", "Asked "]);
    says(&shown, &["The tables are what the log says, up to position 151"]);
    guild.meddle("UPDATE governed_artifacts SET name = 'another'");
    let holds = |status: &guildhall_projector::proof::AuditorStatus| {
        let audited = status.audited.as_ref().unwrap();
        audited.outcome.as_ref().unwrap().holds
    };
    drop(timeout(SOON, status.wait_for(|status| !holds(status))).await.unwrap().unwrap());
    let shown = page(&router, "/proof").await;
    says(&shown, &["do not hold", "The tables are not what the log says", "name is \"another\""]);
}
