//! The tables of the Ops DB whole, in one read-only transaction.

use async_trait::async_trait;
use guildhall_core::ops::SCANNED_ROWS;
use guildhall_core::store::Kind;
use guildhall_core::{Checkpoint, OPS_DB, Position, Scan, StoreError, Table, TableRow};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::database::Database;
use crate::error::Doing;
use crate::lease::find_row;
use crate::ops_rows::Columns;
use crate::snapshot::Session;

const DOING: &str = "reading the tables of the Ops DB";

/// A connection in a transaction that lasts as long as this.
#[derive(Debug)]
pub(crate) struct PostgresScan {
    checkpoint: Option<Checkpoint>,
    history_from: Position,
    session: Session,
    database: Database,
    /// Which of [`Table::ALL`].
    table: usize,
    /// Whether a cursor on it is open.
    is_open: bool,
}

impl PostgresScan {
    pub(crate) async fn begin(database: &Database) -> Result<Self, StoreError> {
        let mut session = Session::begin(DOING, database).await?;
        let found = session.ask(async |connection| {
            // Whoever reads the rows may take long over some. Rows come from the first on, by the index
            // of the key, rather than after all of them were sorted.
            let settings =
                "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL enable_sort = off";
            sqlx::raw_sql(settings).execute(&mut *connection).await?;
            find_row(connection, database, OPS_DB).await
        });
        let row = found.await.doing(DOING)?;
        let history_from = row.as_ref().map_or(Position::ZERO, |row| row.history_from);
        let checkpoint = row.map(|row| row.checkpoint);
        let database = database.clone();
        Ok(Self { checkpoint, history_from, session, database, table: 0, is_open: false })
    }

    /// The next rows of a table; fewer than could be read where it ends.
    async fn fetch(&mut self, table: &Table) -> Result<Vec<TableRow>, sqlx::Error> {
        let declare = (!self.is_open).then(|| self.database.sql(&declare(table)));
        let found: Vec<PgRow> = self
            .session
            .ask(async |connection| {
                if let Some(declare) = declare {
                    sqlx::raw_sql(declare).execute(&mut *connection).await?;
                }
                // Not kept: each table has columns of its own.
                sqlx::query(fetch()).persistent(false).fetch_all(connection).await
            })
            .await?;
        self.is_open = found.len() == SCANNED_ROWS;
        if !self.is_open {
            let close = async |connection: &mut sqlx::PgConnection| {
                sqlx::raw_sql("CLOSE guildhall_scan").execute(connection).await
            };
            self.session.ask(close).await?;
        }
        Ok(found.iter().map(|row| TableRow::read(*table, &mut Columns::of(row))).collect())
    }
}

#[async_trait]
impl Scan for PostgresScan {
    fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    fn history_from(&self) -> Position {
        self.history_from
    }

    async fn next_rows(&mut self) -> Result<Option<Vec<TableRow>>, StoreError> {
        while let Some(table) = Table::ALL.get(self.table) {
            let rows = self.fetch(table).await.doing(DOING)?;
            self.table += usize::from(!self.is_open);
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }
}

fn fetch() -> SqlStr {
    AssertSqlSafe(format!("FETCH FORWARD {SCANNED_ROWS} FROM guildhall_scan")).into_sql_str()
}

/// A cursor on a table in the order of its key, texts by their bytes.
fn declare(table: &Table) -> String {
    let key = |name: &&str| {
        let is_text =
            table.columns.iter().any(|column| column.name == *name && column.kind == Kind::Text);
        format!("{name}{}", if is_text { " COLLATE \"C\"" } else { "" })
    };
    let key = table.key.iter().map(key).collect::<Vec<_>>().join(", ");
    let (columns, name) = (table.list(), table.name);
    format!(
        "DECLARE guildhall_scan NO SCROLL CURSOR FOR \
         SELECT {columns} FROM {{schema}}.{name} ORDER BY {key}"
    )
}
