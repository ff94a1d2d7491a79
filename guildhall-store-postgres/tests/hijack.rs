//! Somebody who may create in `public`, as everybody may up to PostgreSQL 14, plants functions and
//! operators that fit our calls more closely than PostgreSQL's own: none of them is ever run.
#![allow(clippy::unwrap_used, clippy::panic, clippy::large_futures, reason = "tests")]

mod common;
mod projecting;
mod read_tables;
mod server;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, iter};

use common::append_one;
use guildhall_core::{
    AccordQuery, Append, ArtifactQuery, ArtifactSort, CeremonyId, Chronicle, Cid, Cursor,
    DeploymentQuery, Drift, Health, Json, NewEntry, OPS_DB, OpsDb, Outcome, Position, ReadLimit,
    Timestamp, VerificationQuery, Version,
};
use guildhall_projector::{Settings as RuntimeSettings, catch_up, rebuild};
use guildhall_store_postgres::{Partitions, PostgresOptions, PostgresStore};
use projecting::{append_all, log};
use server::{Database, Server, Settings, execute};
use sqlx::{Connection, PgConnection, PgPool};

/// Every word before a parenthesis in our statements and in the code that holds some: the built-ins
/// that we call are among them.
fn called() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR"))];
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let is_ours = |name: &str| path.ends_with(Path::new(name));
            if path.is_dir() && !is_ours("tests") && !is_ours("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs" || it == "sql") {
                let text = fs::read_to_string(&path).unwrap();
                for (end, _) in text.match_indices('(') {
                    let is_word =
                        |it: &u8| it.is_ascii_lowercase() || *it == b'_' || it.is_ascii_digit();
                    let before = &text.as_bytes()[..end];
                    let length = before.iter().rev().take_while(|it| is_word(it)).count();
                    words.insert(text[end - length..end].to_owned());
                }
            }
        }
    }
    words.remove("");
    words
}

/// A database with everything planted.
fn planted(server: &Server) -> Database {
    let database = Database::create_on(&server.url("postgres"));
    let names: Vec<String> = called().iter().map(|name| format!("'{name}'")).collect();
    let names = format!("ARRAY[{}]", names.join(", "));
    execute(database.url(), &include_str!("hijack/plant.sql").replace("{names}", &names));
    database
}

async fn assert_nothing_ran(database: &Database, when: &str) {
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let ran: bool = sqlx::query_scalar("SELECT is_called FROM public.runs")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(!ran, "something planted was run {when}");
}

async fn ask_everything(ops_db: &impl OpsDb) {
    let fragment = || Some(Json::parse("{}").unwrap());
    for sort in [ArtifactSort::Name, ArtifactSort::CustodyState, ArtifactSort::Position] {
        let mut query = ArtifactQuery::default().sort(sort).limit(2);
        query.after = ops_db.artifacts(&query).await.unwrap().next;
        ops_db.artifacts(&query).await.unwrap();
    }
    let query = ArtifactQuery::default()
        .artifact_types(["dns_zone".to_owned(), "helm_values".to_owned()])
        .names(["zone".to_owned()])
        .cids([Cid::from_digest([1; 32])])
        .name_contains("a".to_owned())
        .content_contains(fragment())
        .terms_contain(fragment())
        .verified_before(Timestamp::MAX)
        .verdicts([Outcome::Failed, Outcome::Passed])
        .drifts([Drift::Undeployed, Drift::Drifted, Drift::Unknown, Drift::Healthy]);
    ops_db.artifacts(&query).await.unwrap();
    let page = ops_db.artifacts(&ArtifactQuery::default()).await.unwrap();
    let id = page.rows[0].id;
    ops_db.artifact(id).await.unwrap().unwrap();
    let link = ops_db.chain(id, None, 1).await.unwrap();
    ops_db.chain(id, link.next, 5).await.unwrap();
    let mut query = AccordQuery::default().limit(1);
    let accords = ops_db.accords(&query).await.unwrap();
    ops_db.accord(accords.rows[0].id).await.unwrap().unwrap();
    (query.names, query.after) = (vec![accords.rows[0].name.clone()], accords.next);
    ops_db.accords(&query).await.unwrap();
    let after = Some(Cursor::before(Position::FIRST));
    ops_db.ceremony(CeremonyId::new(), after, 1).await.unwrap();
    let next = ops_db.open_ceremonies(None, 1).await.unwrap().next;
    ops_db.open_ceremonies(next, 1).await.unwrap();
    let next = ops_db.closed_ceremonies(None, 1).await.unwrap().next;
    ops_db.closed_ceremonies(next, 1).await.unwrap();
    let mut query = DeploymentQuery::default().limit(1);
    query.after = ops_db.deployments(&query).await.unwrap().next;
    query.healths = vec![Health::Drifted, Health::Healthy];
    ops_db.deployments(&query).await.unwrap();
    let mut query = VerificationQuery::default().limit(1);
    query.after = ops_db.verifications(&query).await.unwrap().next;
    query.outcomes = vec![Outcome::Passed, Outcome::Failed];
    query.artifact_id = Some(id);
    query.is_standing = true;
    query.targets = vec!["eu".to_owned(), "us".to_owned()];
    query.verifiers = query.targets.clone();
    query.verified_since = Some(Timestamp::MIN);
    query.verified_before = Some(Timestamp::MAX);
    ops_db.verifications(&query).await.unwrap();
    let next = ops_db.quarantined(None, 1).await.unwrap().next;
    ops_db.quarantined(next, 1).await.unwrap();
    ops_db.quarantined_at(Position::FIRST).await.unwrap();
    ops_db.snapshot().await.unwrap().overview().await.unwrap();
    ops_db.checkpoint(OPS_DB).await.unwrap().unwrap();
    ops_db.overview().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_planted_in_public_is_run() {
    let server = Server::start(Settings::default());
    let database = planted(&server);
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/roles.sql"));
    server.psql(database.url(), &[], script).unwrap();
    assert_nothing_ran(&database, "by roles.sql").await;

    let mut of_its_own = PostgresOptions::at(database.url());
    of_its_own.schema = "of_its_own".to_owned();
    // The embedder's other statements find what is in public, so its path is left as it is.
    let pool = PgPool::connect(database.url()).await.unwrap();
    let mut of_a_pool = PostgresOptions::with_pool(pool);
    of_a_pool.schema = "of_a_pool".to_owned();
    for options in [of_its_own, of_a_pool] {
        let at = |what: &str| format!("{what}, {}", options.schema);
        let first = PostgresStore::open_with(options.clone()).await.unwrap();
        assert_nothing_ran(&database, &at("by the first opening")).await;

        let second = PostgresStore::open_with(options.clone()).await.unwrap();
        let (chronicle, other) = (Arc::new(first.chronicle()), second.chronicle());
        append_all(&*chronicle, &log(300)).await;
        let again = NewEntry::new(&common::event(2));
        for chronicle in iter::repeat_n([&*chronicle, &other], 3).flatten() {
            append_one(chronicle, 1).await;
            chronicle.append(Append::of([again.clone()])).await.unwrap();
        }
        assert_nothing_ran(&database, &at("by appends")).await;

        let entries = other.read(Position::ZERO, ReadLimit::entries(50)).await.unwrap();
        other.read_decoded(Position::new(7), ReadLimit::entries(50)).await.unwrap();
        other
            .read_stream(entries[0].stream_id, Version::ZERO, ReadLimit::entries(50))
            .await
            .unwrap();
        other.wait_beyond(Position::ZERO, Duration::ZERO).await.unwrap();
        assert_nothing_ran(&database, &at("by reading")).await;

        let projector = Arc::new(first.projector().memory_bytes(0).start().unwrap());
        let runtime = RuntimeSettings::default().read_entries(40);
        catch_up(chronicle.clone(), projector.clone(), &runtime, |_| {}).await.unwrap();
        ask_everything(&second.ops_db()).await;
        assert_nothing_ran(&database, &at("by projecting and asking")).await;

        for (partitions, bytes) in
            [(Partitions::On, 1), (Partitions::On, 96 << 20), (Partitions::Off, 1)]
        {
            let builder = first.projector().partitions(partitions).rebuild_memory_bytes(bytes);
            let builder = builder.start().unwrap();
            rebuild(chronicle.clone(), &builder, &runtime, |_| {}).await.unwrap();
            ask_everything(&second.ops_db()).await;
        }
        for call in [
            "extend_verification_months(9)",
            "extend_change_months(9)",
            "retire_verification_month()",
        ] {
            execute(database.url(), &format!("SELECT {}.{call}", options.schema));
        }
        assert_nothing_ran(&database, &at("by rebuilding")).await;
    }
}
