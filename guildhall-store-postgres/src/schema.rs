//! Whether the schema is as the migrations made it: tables, columns, keys and checks, indexes,
//! triggers and whether they are enabled, functions and views to the letter.
//!
//! An embedder may add tables, views and indexes, and triggers on the Ops DB's tables, which a rebuild
//! carries over. A trigger on the log's tables, or a rule on any, could write what nobody appended, or
//! suppress what somebody did.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row};

use crate::database::Database;
use crate::family::all_migrations;

mod fault;

pub use self::fault::SchemaFault;

/// The tables and the view that migrations make.
const TABLES: [&str; 20] = [
    "guildhall_migrations",
    "chronicle_entries",
    "chronicle_head",
    "chronicle_origin",
    "chronicle_seals",
    "chronicle_cosignatures",
    "chronicle_tiles",
    "chronicle_streams",
    "chronicle_sealer",
    "accord_bindings",
    "governed_artifacts",
    "artifact_revisions",
    "custody_transitions",
    "deployment_states",
    "deployment_changes",
    "verification_results",
    "quarantined_entries",
    "row_counts",
    "projector_checkpoints",
    "artifact_drift",
];

/// On which nobody else's trigger may stand.
const GUARDED: [&str; 4] =
    ["guildhall_migrations", "chronicle_entries", "chronicle_head", "chronicle_origin"];

/// What the migrations make, as `describe_schema.sql` tells it, but for the bodies of functions.
const EXPECTED: &str = include_str!("schema/expected.txt");

/// Kind, table and name, and how it is.
type Parts = BTreeMap<(String, String, String), String>;

/// How the schema differs from what the migrations make.
pub(crate) async fn compare(
    connection: &mut PgConnection,
    database: &Database,
) -> Result<Vec<SchemaFault>, sqlx::Error> {
    let (found, bodies) = describe(connection, database).await?;
    let expected: Parts = EXPECTED.lines().filter_map(parse).collect();
    let mut faults = Vec::new();
    for ((kind, table, name), how) in &expected {
        let (kind, table, name) = (kind.clone(), table.clone(), name.clone());
        match found.get(&(kind.clone(), table.clone(), name.clone())) {
            None => faults.push(SchemaFault::Missing { kind, name, table }),
            Some(found) if found != how => {
                let (found, expected) = match &*kind {
                    "view" => ("another".to_owned(), "the migrations'".to_owned()),
                    _ => (found.clone(), how.clone()),
                };
                faults.push(SchemaFault::Altered { kind, name, table, found, expected });
            }
            Some(_) => {}
        }
    }
    for (name, body) in expected_bodies(database) {
        if bodies.get(&name).is_some_and(|found| *found != body) {
            let (kind, table) = ("function".to_owned(), String::new());
            let (found, expected) = ("another".to_owned(), "the migrations'".to_owned());
            faults.push(SchemaFault::Altered { kind, name, table, found, expected });
        }
    }
    for ((kind, table, name), how) in found {
        let is_guarded = kind == "rule" || kind == "trigger" && GUARDED.contains(&table.as_str());
        if kind == "part" && how != "enabled always" {
            let (kind, expected) = ("trigger".to_owned(), "enabled always".to_owned());
            faults.push(match how.as_str() {
                "" => SchemaFault::Missing { kind, name, table },
                _ => SchemaFault::Altered { kind, name, table, found: how, expected },
            });
        } else if is_guarded && !expected.contains_key(&(kind.clone(), table.clone(), name.clone()))
        {
            faults.push(SchemaFault::Foreign { kind, name, table });
        }
    }
    // Where a table is missing, so is all that it has.
    let is_whole = |kind: &str| matches!(kind, "table" | "view");
    let is_missing = |table: &str| {
        !table.is_empty() && faults.iter().any(|fault| {
        matches!(fault, SchemaFault::Missing { kind, name, .. } if is_whole(kind) && name == table)
    })
    };
    let is_said = |fault: &SchemaFault| match fault {
        SchemaFault::Missing { kind, table, .. } => is_whole(kind) || !is_missing(table),
        _ => true,
    };
    let said: Vec<bool> = faults.iter().map(is_said).collect();
    Ok(faults
        .into_iter()
        .zip(said)
        .filter_map(|(fault, is_said)| is_said.then_some(fault))
        .collect())
}

/// A line of [`EXPECTED`].
fn parse(line: &str) -> Option<((String, String, String), String)> {
    let mut fields = line.split('\t').map(str::to_owned);
    let key = (fields.next()?, fields.next()?, fields.next()?);
    Some((key, fields.next()?))
}

/// What the schema has, and the bodies of its functions.
async fn describe(
    connection: &mut PgConnection,
    database: &Database,
) -> Result<(Parts, BTreeMap<String, String>), sqlx::Error> {
    let rows = sqlx::query(include_str!("sql/describe_schema.sql"))
        .persistent(false)
        .bind(database.schema().name())
        .bind(TABLES)
        .fetch_all(connection)
        .await?;
    let (mut parts, mut bodies) = (Parts::new(), BTreeMap::new());
    for row in rows {
        let name: String = row.try_get(2)?;
        if let Some(body) = row.try_get::<Option<String>, _>(4)? {
            bodies.insert(name.clone(), body);
        }
        parts.insert((row.try_get(0)?, row.try_get(1)?, name), row.try_get(3)?);
    }
    Ok((parts, bodies))
}

/// The bodies that the migrations give to functions, the newest of each.
fn expected_bodies(database: &Database) -> BTreeMap<String, String> {
    let mut bodies = BTreeMap::new();
    for sql in all_migrations() {
        for made in sql.split("FUNCTION {schema}.").skip(1) {
            let Some((name, rest)) = made.split_once('(') else { continue };
            let Some((before, rest)) = rest.split_once("$guildhall$") else { continue };
            // What is altered, or run by a trigger, has no body of its own.
            if before.contains(';') {
                continue;
            }
            let Some((body, _)) = rest.split_once("$guildhall$") else { continue };
            bodies.insert(name.to_owned(), database.sql(body).as_str().to_owned());
        }
    }
    bodies
}

/// What each kind of work needs besides reading. A role with a part of these rights and not the rest
/// was left incomplete.
const WORK: [&[(&str, &str)]; 4] = [
    &[
        ("guildhall_migrations", "SELECT"),
        ("chronicle_entries", "SELECT"),
        ("chronicle_head", "SELECT"),
        ("chronicle_origin", "SELECT"),
    ],
    &[
        ("chronicle_entries", "INSERT"),
        ("chronicle_head", "UPDATE"),
        ("chronicle_origin", "INSERT"),
    ],
    &[
        ("accord_bindings", "INSERT"),
        ("governed_artifacts", "INSERT"),
        ("governed_artifacts", "UPDATE"),
        ("artifact_revisions", "INSERT"),
        ("custody_transitions", "INSERT"),
        ("deployment_states", "INSERT"),
        ("deployment_states", "UPDATE"),
        ("deployment_changes", "INSERT"),
        ("verification_results", "INSERT"),
        ("quarantined_entries", "INSERT"),
        ("row_counts", "INSERT"),
        ("row_counts", "UPDATE"),
        ("projector_checkpoints", "INSERT"),
        ("projector_checkpoints", "UPDATE"),
    ],
    &[
        ("chronicle_seals", "INSERT"),
        ("chronicle_cosignatures", "INSERT"),
        ("chronicle_tiles", "INSERT"),
        ("chronicle_streams", "INSERT"),
        ("chronicle_streams", "UPDATE"),
        ("chronicle_sealer", "UPDATE"),
    ],
];

/// The rights that the role lacks for what it seems to be there for: every role reads the log; who may
/// append, project or seal in part should be able to do so.
pub(crate) async fn missing_rights(
    connection: &mut PgConnection,
    database: &Database,
) -> Result<Vec<SchemaFault>, sqlx::Error> {
    let mut missing = Vec::new();
    for (nth, work) in WORK.iter().enumerate() {
        let (tables, rights): (Vec<&str>, Vec<&str>) = work.iter().copied().unzip();
        let has: Vec<bool> = sqlx::query_scalar(include_str!("sql/has_rights.sql"))
            .persistent(false)
            .bind(database.schema().name())
            .bind(tables)
            .bind(rights)
            .fetch_all(&mut *connection)
            .await?;
        let is_for_it = nth == 0 || has.contains(&true);
        let lacks = work.iter().zip(has).filter(|(_, has)| is_for_it && !has);
        missing.extend(lacks.map(|((table, right), _)| SchemaFault::Right {
            right: (*right).to_owned(),
            table: (*table).to_owned(),
        }));
    }
    Ok(missing)
}
