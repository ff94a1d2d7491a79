//! What a rebuild meets in a database that others use, too.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod server;

use guildhall_conformance::log::Log;
use guildhall_conformance::workload::{Mix, Workload};
use guildhall_core::{Generation, Position, Rebuild as _, StoreError};
use guildhall_store_postgres::PostgresStore;
use server::{Database, execute};
use sqlx::{Connection as _, PgConnection};

async fn begin(store: &PostgresStore) -> Result<Box<dyn Generation>, StoreError> {
    store.projector().start().unwrap().begin_rebuild().await
}

/// An error and its causes.
fn said(error: &StoreError) -> String {
    format!("{error}: {}", error.source)
}

/// It would end with the old tables, or keep them.
#[tokio::test]
async fn what_cannot_be_made_anew_is_named_before_anything_is_done() {
    let database = Database::create();
    let store = PostgresStore::open(database.url()).await.unwrap();
    for (make, drop, named) in [
        (
            "CREATE TABLE public.notes (about uuid REFERENCES guildhall.governed_artifacts)",
            "DROP TABLE public.notes",
            "a foreign key of public.notes refers to guildhall.governed_artifacts",
        ),
        (
            "CREATE MATERIALIZED VIEW public.names AS SELECT name FROM guildhall.accord_bindings",
            "DROP MATERIALIZED VIEW public.names",
            "the materialized view public.names refers to guildhall.accord_bindings",
        ),
        (
            "CREATE FUNCTION public.accords() RETURNS bigint LANGUAGE sql
             BEGIN ATOMIC SELECT count(*) FROM guildhall.accord_bindings; END",
            "DROP FUNCTION public.accords",
            "the function public.accords() refers to guildhall.accord_bindings",
        ),
        (
            "CREATE FUNCTION public.name_of(guildhall.accord_bindings) RETURNS text LANGUAGE sql
             AS 'SELECT $1.name'",
            "DROP FUNCTION public.name_of",
            "the function public.name_of(guildhall.accord_bindings) refers to guildhall.",
        ),
    ] {
        execute(database.url(), make);
        let error = begin(&store).await.err().unwrap();
        assert!(!error.is_transient() && said(&error).contains(named), "{}", said(&error));
        execute(database.url(), drop);
        assert!(begin(&store).await.unwrap().swap(None).await.unwrap());
    }
    // A view is made anew, and a function that is text finds the new tables.
    execute(
        database.url(),
        "CREATE VIEW public.names AS SELECT name FROM guildhall.accord_bindings",
    );
    execute(
        database.url(),
        "CREATE FUNCTION public.accords() RETURNS bigint LANGUAGE sql
         AS 'SELECT count(*) FROM guildhall.accord_bindings'",
    );
    assert!(begin(&store).await.unwrap().swap(None).await.unwrap());
    execute(database.url(), "SELECT public.accords() FROM public.names");
}

/// The generation is kept, so that the swap can be tried again.
#[tokio::test]
async fn a_swap_that_is_held_up_says_by_which_lock() {
    let database = Database::create();
    let store = PostgresStore::open(database.url()).await.unwrap();
    let mut generation = begin(&store).await.unwrap();
    let log = Log::of(Workload::new(5, Mix::DENSE).take(100));
    generation.apply(log.rest(Position::ZERO)).await.unwrap();
    let mut reader = PgConnection::connect(database.url()).await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    let read = "SELECT FROM guildhall.custody_transitions";
    sqlx::raw_sql(read).execute(&mut *reading).await.unwrap();
    let error = generation.swap(None).await.unwrap_err();
    assert!(
        error.is_transient() && said(&error).contains("custody_transitions"),
        "{}",
        said(&error)
    );
    reading.rollback().await.unwrap();
    assert!(generation.swap(None).await.unwrap());
}
