//! Opening a schema: is it ours, does this version know its tables, and which ones are missing?
//!
//! Migrations are numbered, go forward only, and are recorded in `guildhall_migrations`. What is
//! missing is made in one transaction that has their list locked, so that of two processes one does it
//! and the other finds it done; a refused schema is left unchanged.

use guildhall_core::StoreError;
use guildhall_core::store::{Family, Migration};
use sqlx::{PgConnection, Row};

use crate::database::Database;
use crate::error::{Doing, OpenError};
use crate::family;
use crate::holder::find_maintainer;
use crate::schema::{compare, missing_rights};

const DOING: &str = "opening the database";

/// The oldest server that is promised, as `server_version_num` counts.
const OLDEST_SERVER: i32 = 140_000;

/// Checks the schema and creates what is missing.
pub(crate) async fn prepare(database: &Database, families: &[Family]) -> Result<(), OpenError> {
    let mut connection = database.acquire().await.doing(DOING)?;
    // Most often there is nothing to do, and then no right to create anything is needed.
    let missing = pending(&mut connection, database, families).await?;
    if database.is_read_only() {
        let missing = missing.unwrap_or_else(|| all(families));
        if let Some(&(family, step)) = missing.first() {
            let (schema, found) = (database.schema().name().to_owned(), step.number - 1);
            return Err(OpenError::OlderSchema {
                schema,
                family,
                found,
                known: family::newest(family),
            });
        }
    } else if missing.is_none_or(|missing| !missing.is_empty()) {
        make(&mut connection, database, families).await?;
    }
    check(&mut connection, database).await
}

/// Refuses a schema that was changed.
async fn check(connection: &mut PgConnection, database: &Database) -> Result<(), OpenError> {
    let mut faults = compare(connection, database).await.doing(DOING)?;
    faults.extend(missing_rights(connection, database).await.doing(DOING)?);
    if faults.is_empty() {
        return Ok(());
    }
    Err(OpenError::AlteredSchema { schema: database.schema().name().to_owned(), faults })
}

/// Makes what is missing.
async fn make(
    connection: &mut PgConnection,
    database: &Database,
    families: &[Family],
) -> Result<(), OpenError> {
    let mut attempt = 1;
    loop {
        let mut transaction = database.begin(connection).await.doing(DOING)?;
        let made = make_missing(&mut transaction, database, families).await;
        let Err(error) = made else { return Ok(transaction.commit().await.doing(DOING)?) };
        transaction.rollback().await.doing(DOING)?;
        match sqlstate_of(&error).as_deref() {
            // Another process made the schema, or the list in it, at the same time.
            Some("23505" | "42P06" | "42P07") if attempt < ATTEMPTS => attempt += 1,
            Some("55P03") => {
                let locked = find_maintainer(connection, database).await.doing(DOING)?;
                let named = locked.map(|locked| StoreError::transient(DOING, locked).into());
                return Err(named.unwrap_or(error));
            }
            _ => return Err(error),
        }
    }
}

/// How often it is tried to be the first in a schema.
const ATTEMPTS: u32 = 5;

/// One at a time makes tables. Only their owner, or a member of that role, can lock so; who reads the
/// table is not in the way.
const LOCK: &str = "LOCK TABLE {schema}.guildhall_migrations IN SHARE ROW EXCLUSIVE MODE";

async fn make_missing(
    transaction: &mut PgConnection,
    database: &Database,
    families: &[Family],
) -> Result<(), OpenError> {
    let mut missing = pending(transaction, database, families).await?;
    if missing.is_none() {
        claim(transaction, database).await?;
    }
    sqlx::raw_sql(database.sql(LOCK)).execute(&mut *transaction).await.doing(DOING)?;
    if missing.is_some() {
        // Meanwhile another may have made them.
        missing = pending(transaction, database, families).await?;
    }
    for (family, migration) in missing.unwrap_or_else(|| all(families)) {
        run(transaction, database, family, migration).await.doing(DOING)?;
    }
    Ok(())
}

/// With which SQLSTATE PostgreSQL refused.
fn sqlstate_of(error: &OpenError) -> Option<String> {
    let OpenError::Store(error) = error else { return None };
    match error.source.downcast_ref()? {
        sqlx::Error::Database(error) => Some(error.code()?.into_owned()),
        _ => None,
    }
}

/// What a schema of ours does not have yet; none if it is not ours yet, but may become it.
async fn pending(
    connection: &mut PgConnection,
    database: &Database,
    families: &[Family],
) -> Result<Option<Vec<(Family, &'static Migration)>>, OpenError> {
    let schema = database.schema().name();
    let found = sqlx::query(include_str!("sql/inspect_schema.sql"))
        .bind(schema)
        .fetch_one(&mut *connection)
        .await
        .doing(DOING)?;
    let server: i32 = found.try_get("server_version_number").doing(DOING)?;
    if server < OLDEST_SERVER {
        let found = found.try_get("server_version").doing(DOING)?;
        return Err(OpenError::OldServer { found });
    }
    let encoding: String = found.try_get("encoding").doing(DOING)?;
    if encoding != "UTF8" {
        return Err(OpenError::OtherEncoding { found: encoding });
    }
    if !found.try_get::<bool, _>("is_ours").doing(DOING)? {
        return match found.try_get("relation").doing(DOING)? {
            Some(relation) => Err(OpenError::OtherProgram { schema: schema.to_owned(), relation }),
            None => Ok(None),
        };
    }
    let mut pending = Vec::new();
    for &family in families {
        let newest: i32 = sqlx::query_scalar(database.sql(
            "SELECT coalesce(pg_catalog.max(number), 0) FROM {schema}.guildhall_migrations WHERE family = $1",
        ))
        .bind(family.as_str())
        .fetch_one(&mut *connection)
        .await
        .doing(DOING)?;
        let (found, known) = (u32::try_from(newest).unwrap_or(0), family::newest(family));
        if found > known {
            let schema = schema.to_owned();
            return Err(OpenError::NewerSchema { schema, family, found, known });
        }
        pending.extend(all(&[family]).into_iter().filter(|(_, step)| step.number > found));
    }
    Ok(Some(pending))
}

fn all(families: &[Family]) -> Vec<(Family, &'static Migration)> {
    let of = |&family: &Family| family::migrations(family).iter().map(move |step| (family, step));
    families.iter().flat_map(of).collect()
}

/// Makes an empty schema ours.
async fn claim(connection: &mut PgConnection, database: &Database) -> Result<(), StoreError> {
    let is_there: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)",
    )
    .bind(database.schema().name())
    .fetch_one(&mut *connection)
    .await
    .doing(DOING)?;
    if !is_there {
        // IF NOT EXISTS would ask for the right to create one even where it is there.
        let create = database.sql("CREATE SCHEMA {schema}");
        sqlx::raw_sql(create).execute(&mut *connection).await.doing(DOING)?;
    }
    let create = database.sql(include_str!("sql/create_migrations.sql"));
    sqlx::raw_sql(create).execute(connection).await.doing(DOING)?;
    Ok(())
}

async fn run(
    connection: &mut PgConnection,
    database: &Database,
    family: Family,
    migration: &Migration,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(database.sql(migration.sql)).execute(&mut *connection).await?;
    sqlx::query(database.sql(
        "INSERT INTO {schema}.guildhall_migrations (family, number, name) VALUES ($1, $2, $3)",
    ))
    .bind(family.as_str())
    .bind(i32::try_from(migration.number).unwrap_or(i32::MAX))
    .bind(migration.name)
    .execute(connection)
    .await?;
    Ok(())
}
