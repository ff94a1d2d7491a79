//! Partitions belong to the owner.

use std::sync::Arc;

use guildhall_core::OpsDb;
use guildhall_projector::{Settings as RuntimeSettings, catch_up, rebuild};
use guildhall_store_postgres::Partitions;
use sqlx::AssertSqlSafe;

use crate::projecting::{append_all, log};
use crate::server::execute;
use crate::{Guild, REFUSED, refusal};

/// Partitions are the owner's; the projector may make the months to come, and nothing else of them.
#[tokio::test]
async fn the_months_to_come_are_made_by_a_projector_that_may_make_no_table() {
    let guild = Guild::start().await;
    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(50)).await;
    let owner = guild.open("guildhall_owner").await.unwrap();
    let builder = owner.projector().partitions(Partitions::On).start().unwrap();
    let chronicle = Arc::new(owner.chronicle());
    rebuild(chronicle.clone(), &builder, &RuntimeSettings::default(), |_| {}).await.unwrap();

    let mut projector = guild.connect("as_projector").await;
    let extend = "SELECT guildhall.extend_verification_months(months_ahead => 5)";
    let made: i32 = sqlx::query_scalar(extend).fetch_one(&mut projector).await.unwrap();
    assert_eq!(made, 2);
    let extend_changes = "SELECT guildhall.extend_change_months(months_ahead => 5)";
    let made: i32 = sqlx::query_scalar(extend_changes).fetch_one(&mut projector).await.unwrap();
    assert_eq!(made, 2);
    let retire = "SELECT guildhall.retire_verification_month()";
    assert_eq!(refusal(&mut projector, retire).await.as_deref(), Some(REFUSED));
    for user in ["as_writer", "as_reader"] {
        let mut stranger = guild.connect(user).await;
        for call in [extend, extend_changes, retire] {
            assert_eq!(refusal(&mut stranger, call).await.as_deref(), Some(REFUSED), "{user}");
        }
    }
    assert_eq!(refusal(&mut guild.connect("guildhall_owner").await, retire).await, None);

    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(150)).await;
    let store = guild.open("as_projector").await.unwrap();
    let projector = Arc::new(store.projector().start().unwrap());
    catch_up(chronicle, projector, &RuntimeSettings::default(), |_| {}).await.unwrap();
    guild.assert_tables_are_as_expected().await;
    let reader = guild.open("as_reader").await.unwrap().ops_db();
    assert!(reader.overview().await.unwrap().artifacts() > 0);
    let view = "SELECT drift FROM guildhall.artifact_drift";
    assert_eq!(refusal(&mut guild.connect("as_reader").await, view).await, None);
    let mut writer = guild.connect("as_writer").await;
    assert_eq!(refusal(&mut writer, view).await.as_deref(), Some(REFUSED));
}

/// Whoever rebuilds, the parts are the owner's as the tables are.
#[tokio::test]
async fn partitions_belong_to_the_owner_of_the_tables_whoever_rebuilds() {
    let guild = Guild::start().await;
    append_all(&guild.open("as_writer").await.unwrap().chronicle(), &log(50)).await;
    execute(guild.database.url(), "CREATE ROLE deputy LOGIN IN ROLE guildhall_owner");
    for (user, months_ahead) in [("guildhall", 5), ("deputy", 6)] {
        let store = guild.open(user).await.unwrap();
        let projector = store.projector().partitions(Partitions::On).start().unwrap();
        let chronicle = Arc::new(store.chronicle());
        rebuild(chronicle, &projector, &RuntimeSettings::default(), |_| {}).await.unwrap();
        let extend = format!("SELECT guildhall.extend_verification_months({months_ahead})");
        let mut projector = guild.connect("as_projector").await;
        let made: i32 =
            sqlx::query_scalar(AssertSqlSafe(extend)).fetch_one(&mut projector).await.unwrap();
        assert_eq!(made, months_ahead - 3, "{user}");
        let retire = "SELECT guildhall.retire_verification_month()";
        let mut owner = guild.connect("guildhall_owner").await;
        let retired: Option<String> =
            sqlx::query_scalar(retire).fetch_one(&mut owner).await.unwrap();
        assert!(retired.is_some(), "{user}");
    }
}
