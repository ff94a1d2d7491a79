//! The projector on PostgreSQL does what it does on SQLite.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "../../guildhall-store-postgres/tests/server/mod.rs"]
mod server;

use common::{Folder, stderr};
use server::Database;

#[test]
fn it_tells_the_same_story_and_goes_on_where_it_was() {
    let (folder, database) = (Folder::new(), Database::create());
    let on_postgres = ["--database", database.url()];
    let text = folder.succeed(&on_postgres);
    assert!(text.contains("position   150 of 150, up to date"), "{text}");
    assert!(text.contains("psql"), "{text}");
    let report = folder.json(&on_postgres);
    assert_eq!(report, Folder::new().json(&[]));
    let again = folder.run(&on_postgres);
    let said = stderr(&again);
    assert!(said.contains("imported 0 entries, 150 were there before"), "{said}");
    assert!(said.contains("up to date"), "{said}");
    assert_eq!(folder.json(&[&on_postgres[..], &["--rebuild"]].concat()), report);
    // Nothing was written here.
    assert!(folder.names().is_empty());
}

#[test]
fn what_one_database_exports_another_imports() {
    let (folder, database) = (Folder::new(), Database::create());
    let on_postgres = ["--database", database.url()];
    folder.succeed(&["--generate", "2000", "--export", "sqlite.jsonl"]);
    folder.succeed(
        &[&on_postgres[..], &["--chronicle", "sqlite.jsonl", "--export", "postgres.jsonl"]]
            .concat(),
    );
    let read = |name| std::fs::read_to_string(folder.path(name)).unwrap();
    assert_eq!(read("postgres.jsonl").lines().count(), 2000);
    assert_eq!(read("postgres.jsonl"), read("sqlite.jsonl"));
    assert_eq!(folder.json(&on_postgres), folder.json(&["--generate", "2000"]));
}
