//! The tables of the next generation, in the transaction of their rebuild.

use guildhall_core::fold::Changes;
use guildhall_core::store::Deployments;
use guildhall_core::{Difference, DifferenceKind, Position, Table};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::changes::{OpsTables, TABLES};
use crate::database::Database;
use crate::division::{division, key};
use crate::lease::load_row;
use crate::ops_rows::Columns;
use crate::partitions::{Monthly, divide_by_month, divide_transitions};

/// A table that was filled just now has no statistics, and its heads are looked up by keys.
const PLAN_LOOKUPS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
    SET LOCAL enable_mergejoin = off";

/// Whole tables are compared.
const PLAN_SCANS: &str = "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; \
    SET LOCAL enable_mergejoin = on";

/// The table whose months can be retired.
const RETIRED_BY_MONTH: &str = "verification_results";

/// The columns that queries choose by; texts and JSON would take three times as long.
const ANALYZE: &str = "ANALYZE {schema}.accord_bindings{next} (id, name), \
    {schema}.governed_artifacts{next} \
        (id, accord_binding_id, artifact_type, tier, custody_state, custody_seq, position), \
    {schema}.artifact_revisions{next} (artifact_id, revision, position), \
    {schema}.custody_transitions{next} (artifact_id, seq, from_state, to_state, occurred_at, position), \
    {schema}.deployment_states{next} (artifact_id, target, health), \
    {schema}.deployment_changes{next} (artifact_id, target, health, observed_at, position), \
    {schema}.verification_results{next} (id, artifact_id, outcome, verified_at, position), \
    {schema}.quarantined_entries{next} (position), \
    {schema}.row_counts{next} (counted)";

/// How far the tables are from being whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No key: what may still change is held in memory.
    Bare,
    /// Their keys are there: memory ran out, so rows are looked up.
    Keyed,
    /// All indexes and foreign keys are there.
    Sealed,
}

/// An index of the next generation.
#[derive(Debug)]
struct Index {
    /// Its name once it is live.
    name: String,
    /// Its name until then.
    made_as: String,
    is_key: bool,
    /// The statement that makes it.
    create: String,
    is_made: bool,
}

/// The tables of the next generation.
#[derive(Debug)]
pub(super) struct NextTables {
    database: Database,
    suffix: String,
    pub(super) tables: OpsTables,
    indexes: Vec<Index>,
    /// Whether they have partitions.
    is_divided: bool,
    /// Those of them that have their months.
    have_months: Vec<Monthly>,
    stage: Stage,
}

impl NextTables {
    /// Makes them, empty and without keys.
    pub(super) async fn make(
        connection: &mut PgConnection,
        database: Database,
        suffix: String,
        is_divided: bool,
    ) -> Result<Self, sqlx::Error> {
        let mut made = Self {
            tables: OpsTables::next_generation(database.schema(), &suffix, is_divided),
            database,
            suffix,
            indexes: Vec::new(),
            is_divided,
            have_months: Vec::new(),
            stage: Stage::Bare,
        };
        made.create_tables(connection).await?;
        Ok(made)
    }

    /// Plans what comes next as look-ups by keys.
    pub(super) async fn plan_lookups(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(PLAN_LOOKUPS).execute(connection).await.map(drop)
    }

    async fn create_tables(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        for table in TABLES {
            let create: Vec<String> = sqlx::query_scalar(include_str!("../sql/describe_table.sql"))
                .bind(self.database.schema().name())
                .bind(table)
                .bind(&self.suffix)
                .bind(division(table).filter(|_| self.is_divided))
                .fetch_all(&mut *connection)
                .await?;
            for sql in create {
                execute(connection, sql).await?;
            }
            let indexes = sqlx::query(include_str!("../sql/describe_indexes.sql"))
                .bind(self.database.schema().name())
                .bind(table)
                .bind(&self.suffix)
                .bind(key(table, self.is_divided))
                .fetch_all(&mut *connection)
                .await?;
            for row in &indexes {
                self.indexes.push(Index {
                    name: row.try_get(0)?,
                    made_as: row.try_get(1)?,
                    is_key: row.try_get(2)?,
                    create: row.try_get(3)?,
                    is_made: false,
                });
            }
        }
        if self.is_divided {
            divide_transitions(connection, &self.tables).await?;
        }
        Ok(())
    }

    /// Makes the months of each table, once there is a row to begin with, or where none is to come.
    pub(super) async fn divide(
        &mut self,
        connection: &mut PgConnection,
        rows: Option<&Changes>,
    ) -> Result<(), sqlx::Error> {
        if !self.is_divided {
            return Ok(());
        }
        for divided in Monthly::ALL {
            let earliest = rows.and_then(|rows| divided.earliest(rows));
            let is_due = earliest.is_some() || rows.is_none();
            if is_due && !self.have_months.contains(&divided) {
                divide_by_month(connection, &self.tables, divided, earliest).await?;
                self.have_months.push(divided);
            }
        }
        Ok(())
    }

    /// Writes rows that were held back, none of which is there.
    pub(super) async fn write_held(
        &self,
        connection: &mut PgConnection,
        rows: &Changes,
    ) -> Result<(), sqlx::Error> {
        self.tables.write_artifacts(connection, &rows.artifacts).await?;
        self.tables.write_deployments(connection, &rows.deployments, Deployments::New).await?;
        self.tables.write_counts(connection, &rows.counts, Deployments::New).await
    }

    /// Makes the keys by which rows are found from here on.
    pub(super) async fn make_keys(
        &mut self,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        self.make_indexes(connection, Stage::Keyed).await
    }

    /// Makes the indexes that are not there yet: the keys, or all of them.
    async fn make_indexes(
        &mut self,
        connection: &mut PgConnection,
        stage: Stage,
    ) -> Result<(), sqlx::Error> {
        for index in &mut self.indexes {
            if !index.is_made && (index.is_key || stage > Stage::Keyed) {
                execute(connection, index.create.clone()).await?;
                index.is_made = true;
            }
        }
        self.tables.stop_freezing();
        self.stage = self.stage.max(stage);
        Ok(())
    }

    /// Makes what is not there yet: indexes, foreign keys, statistics. All rows are written.
    pub(super) async fn make_whole(
        &mut self,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        if self.stage >= Stage::Sealed {
            return Ok(());
        }
        self.divide(connection, None).await?;
        sqlx::raw_sql(PLAN_SCANS).execute(&mut *connection).await?;
        self.make_indexes(connection, Stage::Sealed).await?;
        let schema = self.database.schema().name();
        for table in TABLES {
            let foreign_keys: Vec<String> =
                sqlx::query_scalar(include_str!("../sql/describe_foreign_keys.sql"))
                    .bind(schema)
                    .bind(table)
                    .bind(&self.suffix)
                    .bind(TABLES)
                    .fetch_all(&mut *connection)
                    .await?;
            for sql in foreign_keys {
                execute(connection, sql).await?;
            }
        }
        // Without, the first queries after the swap would be planned for empty tables.
        let analyze = self.tables.sql(ANALYZE);
        sqlx::raw_sql(analyze).execute(&mut *connection).await?;
        Ok(())
    }

    /// How they differ from the live ones, which stand at `live`.
    pub(super) async fn compare(
        &self,
        connection: &mut PgConnection,
        live: Position,
        projector: &str,
        rebuilt: Position,
    ) -> Result<Vec<Difference>, sqlx::Error> {
        sqlx::raw_sql(PLAN_SCANS).execute(&mut *connection).await?;
        let mut greatest = Position::ZERO;
        for table in Table::ALL {
            let sql = table.greatest(&format!("{{schema}}.{}", table.name));
            let row = sqlx::query(self.tables.sql(&sql)).fetch_one(&mut *connection).await?;
            let found = Columns::of(&row).value::<Option<Position>>()?;
            greatest = greatest.max(found.unwrap_or(Position::ZERO));
        }
        let upto = Table::compared_up_to(live, greatest, rebuilt);
        let first_month: Option<Option<String>> =
            sqlx::query_scalar(include_str!("../sql/find_first_month.sql"))
                .bind(self.database.schema().name())
                .fetch_optional(&mut *connection)
                .await?;
        let first_month = first_month.flatten();
        let history_from = load_row(connection, &self.database, projector).await?.history_from;
        let mut differences = Vec::new();
        for table in Table::compared(history_from) {
            let live = format!("{{schema}}.{}", table.name);
            let next = format!("{live}{{next}}");
            let mut comparisons = table.comparisons(&live, &next);
            if let Some(first) = first_month.as_ref().filter(|_| table.name == RETIRED_BY_MONTH) {
                // A month that was retired comes back: it is not news.
                let kept = format!("(SELECT * FROM {next} WHERE verified_at >= {first})");
                for (comparison, of_kept) in
                    comparisons.iter_mut().zip(table.comparisons(&live, &kept))
                {
                    if comparison.0 == DifferenceKind::New {
                        *comparison = of_kept;
                    }
                }
            }
            for (kind, sql) in comparisons {
                let row = sqlx::query(self.tables.sql(&sql))
                    .persistent(false)
                    .bind(upto.as_i64())
                    .fetch_one(&mut *connection)
                    .await?;
                let mut columns = Columns::of(&row);
                let rows = columns.count()?;
                if let Some(first) = columns.value()? {
                    differences.push(Difference { table: table.name, kind, rows, first });
                }
            }
        }
        Ok(differences)
    }

    /// Puts them in the place of the live ones. Says which table it waits for.
    pub(super) async fn exchange(
        &self,
        connection: &mut PgConnection,
        waits_for: &mut &'static str,
    ) -> Result<(), sqlx::Error> {
        let live_tables = OpsTables::live(self.database.schema());
        for table in TABLES {
            *waits_for = table;
            let lock = live_tables.sql(&format!(
                "SET LOCAL lock_timeout = '200ms'; \
                 LOCK TABLE {{schema}}.{table} IN ACCESS EXCLUSIVE MODE"
            ));
            sqlx::raw_sql(lock).execute(&mut *connection).await?;
        }
        let dependents: Vec<String> =
            sqlx::query_scalar(include_str!("../sql/describe_dependents.sql"))
                .bind(self.database.schema().name())
                .bind(TABLES)
                .fetch_all(&mut *connection)
                .await?;
        for table in TABLES {
            let rename = self.tables.sql(&format!(
                "ALTER TABLE {{schema}}.{table} RENAME TO {table}{{next}}_retired; \
                 ALTER TABLE {{schema}}.{table}{{next}} RENAME TO {table}"
            ));
            sqlx::raw_sql(rename).execute(&mut *connection).await?;
        }
        for sql in dependents {
            execute(connection, sql).await?;
        }
        // Their partitions with them.
        let old = TABLES.map(|table| format!("{{schema}}.{table}{{next}}_retired")).join(", ");
        let drop = self.tables.sql(&format!("DROP TABLE {old}"));
        sqlx::raw_sql(drop).execute(&mut *connection).await?;
        for Index { name, made_as, .. } in &self.indexes {
            let name = name.replace('"', "\"\"");
            let rename =
                live_tables.sql(&format!("ALTER INDEX {{schema}}.{made_as} RENAME TO \"{name}\""));
            sqlx::raw_sql(rename).execute(&mut *connection).await?;
        }
        let parts: Vec<String> = sqlx::query_scalar(include_str!("../sql/describe_partitions.sql"))
            .bind(self.database.schema().name())
            .bind(TABLES)
            .bind(&self.suffix)
            .fetch_all(&mut *connection)
            .await?;
        for sql in parts {
            execute(connection, sql).await?;
        }
        Ok(())
    }
}

async fn execute(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}
