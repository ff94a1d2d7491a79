//! The script itself: run again, with names of one's own, without a superuser.

use std::sync::Arc;

use guildhall_projector::{Settings as RuntimeSettings, catch_up};
use guildhall_store_postgres::{PostgresOptions, PostgresStore};

use crate::projecting::{append_all, log};
use crate::server::execute;
use crate::{Guild, script};

#[tokio::test]
async fn the_script_can_be_run_again_and_takes_what_was_given_beside_it() {
    let guild = Guild::start().await;
    let rights = "SELECT string_agg(relname || ':' || coalesce(relacl::text, '') || ':' || relowner::regrole, E'\\n' ORDER BY relname)
                  FROM pg_class WHERE relnamespace = 'guildhall'::regnamespace AND relkind = 'r'";
    let mut admin = guild.connect("guildhall").await;
    let before: String = sqlx::query_scalar(rights).fetch_one(&mut admin).await.unwrap();
    for meddling in [
        "GRANT ALL ON ALL TABLES IN SCHEMA guildhall TO guildhall_reader, PUBLIC",
        "GRANT UPDATE (payload) ON guildhall.chronicle_entries TO guildhall_writer",
        "ALTER TABLE guildhall.accord_bindings OWNER TO guildhall_projector",
        "REVOKE ALL ON guildhall.chronicle_entries FROM guildhall_writer",
    ] {
        execute(guild.database.url(), meddling);
    }
    let said = guild.run_script(&[]).unwrap();
    assert_eq!(said, "");
    let after: String = sqlx::query_scalar(rights).fetch_one(&mut admin).await.unwrap();
    assert_eq!(after, before);
    let columns: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
         WHERE relnamespace = 'guildhall'::regnamespace AND attacl IS NOT NULL",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    // The one column that the writer updates.
    assert_eq!(columns, 1);
}

#[tokio::test]
async fn names_are_chosen_and_a_superuser_is_not_needed() {
    let mut guild = Guild::start().await;
    execute(guild.database.url(), "CREATE ROLE dba LOGIN CREATEROLE");
    let hand_over = format!("ALTER DATABASE {} OWNER TO dba", guild.database.name());
    execute(guild.database.admin_url(), &hand_over);
    let odd = [
        ("schema", "Guild \"North\""),
        ("owner", "north owner"),
        ("writer", "north-writer"),
        ("projector", "north's projector"),
        ("sealer", "north sealer"),
        ("reader", "North Reader"),
    ];
    let dba = guild.url("dba");
    for _ in 0..2 {
        assert_eq!(guild.server.psql(&dba, &odd, script()).unwrap(), "");
        guild.schema = "Guild \"North\"";
        execute(&dba, "ALTER ROLE \"north owner\" LOGIN");
        guild.open("north%20owner").await.unwrap();
    }
    for (user, role) in [("north_a", "north-writer"), ("north_b", "north's projector")] {
        execute(guild.database.url(), &format!("CREATE ROLE {user} LOGIN IN ROLE \"{role}\""));
    }
    append_all(&guild.open("north_a").await.unwrap().chronicle(), &log(200)).await;
    let store = guild.open("north_b").await.unwrap();
    let projector = Arc::new(store.projector().start().unwrap());
    catch_up(Arc::new(store.chronicle()), projector, &RuntimeSettings::default(), |_| {})
        .await
        .unwrap();
    // The two Guildhalls of this database are strangers.
    let mut options = PostgresOptions::at(guild.url("as_writer"));
    options.schema = guild.schema.to_owned();
    assert!(PostgresStore::open_with(options).await.is_err());
}
