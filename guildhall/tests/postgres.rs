//! A guild in a schema of a PostgreSQL database.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "../../guildhall-store-postgres/tests/server/mod.rs"]
mod server;

use common::{
    honours_its_policy, soon, state, waits_for_what_another_projects, work_through_a_day,
};
use guildhall::GuildError;
use guildhall::postgres::PostgresStore;
use guildhall::prelude::*;
use server::Database;

#[tokio::test]
async fn a_day_on_a_server() {
    let database = Database::create();
    let id = work_through_a_day(&Guild::open(database.url()).await.unwrap()).await;
    let store = PostgresStore::open(database.url()).await.unwrap();
    let again = Guild::from_postgres(store).await.unwrap();
    assert_eq!(state(&again, id).await, Some(CustodyState::Drafted));
    soon(again.close()).await.unwrap();
}

#[tokio::test]
async fn a_process_waits_for_what_another_one_projects() {
    let database = Database::create();
    let here = Guild::open(database.url()).await.unwrap();
    waits_for_what_another_projects(here, Guild::open(database.url()).await.unwrap()).await;
}

#[tokio::test]
async fn a_policy_given_once_is_everybodys_whatever_the_projector_was_set_up_with() {
    let database = Database::create();
    let builder = Guild::builder(database.url());
    honours_its_policy(
        builder.on_postgres(|projector| projector.policy(CustodyPolicy::standard())),
    )
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_worth_another_try_and_its_password_is_not_shown() {
    let refused = soon(Guild::open("postgres://app:hunter2@127.0.0.1:1/ops")).await.unwrap_err();
    assert!(matches!(refused, GuildError::Postgres(_)) && refused.is_transient(), "{refused:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(&refused);
    while let Some(error) = cause {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        cause = error.source();
    }
}
