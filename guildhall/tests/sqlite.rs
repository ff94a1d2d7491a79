//! A guild in a file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{
    act, draft_zone, honours_its_policy, soon, state, waits_for_what_another_projects,
    work_through_a_day, zone,
};
use guildhall::core::custody::{self, Move};
use guildhall::core::{Append, Judged, NewEntry};
use guildhall::prelude::*;
use guildhall::sqlite::{ReadModel, SqliteStore, rusqlite::Transaction};
use guildhall::{GuildError, Source};

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_day_in_a_file_which_stands_alone_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let guild = Guild::open(path.clone()).await.unwrap();
    let id = work_through_a_day(&guild).await;
    assert_eq!(names(&folder), ["guildhall.db"]);
    assert!(guild.recorder().record(zone().0).await.is_err(), "it is closed");
    soon(guild.close()).await.unwrap();

    let url = format!("sqlite:{}", path.display());
    let again = Guild::open(url).await.unwrap();
    assert_eq!(state(&again, id).await, Some(CustodyState::Drafted));
    soon(again.close()).await.unwrap();
    let again = Guild::from_sqlite(SqliteStore::open(path).await.unwrap()).await.unwrap();
    assert_eq!(state(&again, id).await, Some(CustodyState::Drafted));
    soon(again.close()).await.unwrap();
}

#[tokio::test]
async fn a_process_waits_for_what_another_one_projects() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let here = Guild::open(path.clone()).await.unwrap();
    waits_for_what_another_projects(here, Guild::open(path).await.unwrap()).await;
}

/// A read model that keeps nothing but its checkpoint.
struct Nothing;

impl ReadModel for Nothing {
    fn name(&self) -> &str {
        "nothing"
    }

    fn apply(
        &mut self,
        _: &Transaction<'_>,
        _: &[Judged<'_>],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

#[tokio::test]
async fn a_read_model_that_whoever_projects_leaves_out_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    let builder = Guild::builder(Source::from(path.clone()));
    let with_it = builder.on_sqlite(|it| it.read_model(Nothing)).open().await.unwrap();
    let (id, drafted) = draft_zone(&with_it).await;
    let runtime = with_it.run();
    soon(with_it.read_models().wait_until_in("nothing", drafted)).await.unwrap();
    soon(runtime.shutdown()).await.unwrap();

    let without = Guild::open(path).await.unwrap();
    let runtime = without.run();
    let open = Command::open_ceremony(id, CeremonyId::new(), act());
    let opened = without.recorder().record(open).await.unwrap().position;
    let models = with_it.read_models().grace(std::time::Duration::from_millis(50));
    soon(models.wait_until(opened)).await.unwrap();
    let left_out = soon(models.wait_until_in("nothing", opened)).await;
    assert!(matches!(left_out, Err(WaitError::NotProjected { .. })), "{left_out:?}");
    drop(runtime);
    soon(without.close()).await.unwrap();
    soon(with_it.close()).await.unwrap();
}

#[tokio::test]
async fn a_policy_given_once_is_everybodys_whatever_the_projector_was_set_up_with() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("guildhall.db")).await.unwrap();
    let builder = Guild::builder(store);
    honours_its_policy(
        builder.on_sqlite(|projector| projector.policy(CustodyPolicy::standard()).memory_bytes(1)),
    )
    .await;
}

#[tokio::test]
async fn a_projector_that_failed_is_told_when_the_guild_closes_and_the_file_is_closed_all_the_same()
{
    let folder = tempfile::tempdir().unwrap();
    let source = Source::from(folder.path().join("guildhall.db"));
    let guild = Guild::builder(source).on_violation(OnViolation::Halt).open().await.unwrap();
    let (id, _) = draft_zone(&guild).await;
    let Act { actor, reason, evidence, occurred_at, .. } = act();
    let to_state = CustodyState::Deployed;
    let wanted = Move { to_state, actor, reason, ceremony_id: None, evidence, occurred_at };
    // Somebody else writes a second beginning of the chain.
    let broken: Event = custody::link(id, zone().1.cid, None, wanted).into();
    guild.chronicle().append(Append::of([NewEntry::new(&broken)])).await.unwrap();
    assert!(soon(guild.run().stopped()).await.is_err());
    let closed = soon(guild.close()).await;
    assert!(matches!(closed, Err(GuildError::Runtime(_))), "{closed:?}");
    assert_eq!(names(&folder), ["guildhall.db"]);
}

#[tokio::test]
async fn a_store_that_only_reads_makes_no_guild() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guildhall.db");
    soon(Guild::open(path.clone()).await.unwrap().close()).await.unwrap();
    let store = SqliteStore::open_read_only(path).await.unwrap();
    let refused = Guild::from_sqlite(store).await;
    assert!(matches!(refused, Err(GuildError::Store(_))), "{refused:?}");
}

#[tokio::test]
async fn what_does_not_open_says_which_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "a text that is long enough to be no header of a database").unwrap();
    let refused = Guild::open(path).await.unwrap_err();
    assert!(matches!(refused, GuildError::Sqlite(_)), "{refused:?}");
    assert!(refused.to_string().contains("notes.txt"), "{refused}");
}
