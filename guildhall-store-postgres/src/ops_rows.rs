//! Rows of the Ops DB as what they mean. Someone else may have written a row, so reading one can
//! fail.

use std::error::Error;

use guildhall_core::store::{ColumnReader, Misread, Row as OpsRow, Value};
use guildhall_core::{Json, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{Column, Decode, Postgres, Row, Type, ValueRef};
use uuid::Uuid;

use crate::entries::timestamp;

/// A column holds what does not belong there.
#[derive(Debug, thiserror::Error)]
#[error("it holds no {0}")]
struct Misfit(&'static str);

/// The columns of a row, in order, as what they mean.
pub(crate) struct Columns<'r> {
    row: &'r PgRow,
    next: usize,
    /// The table that is read, as far as that is known.
    table: &'static str,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r PgRow) -> Self {
        Self { row, next: 0, table: "a row" }
    }

    fn take(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }

    /// The next column, as the driver reads it.
    pub(crate) fn decoded<T: Decode<'r, Postgres> + Type<Postgres>>(
        &mut self,
    ) -> Result<T, sqlx::Error> {
        let index = self.take();
        self.row.try_get(index).map_err(|error| match error {
            sqlx::Error::ColumnDecode { source, .. } => self.misfit(index, source),
            other => other,
        })
    }

    /// The error of a column that somebody else wrote: which it is, of which table, and which entry
    /// wrote the row.
    fn misfit(&self, index: usize, source: impl Into<Box<dyn Error + Send + Sync>>) -> sqlx::Error {
        let column = self.row.columns().get(index).map_or("?", Column::name);
        let position = self.row.try_get::<i64, _>("position");
        let at = position.map_or_else(|_| String::new(), |at| format!(" at position {at}"));
        let index = format!("{}.{column}{at}", self.table);
        sqlx::Error::ColumnDecode { index, source: source.into() }
    }

    /// The next column, as what it means.
    pub(crate) fn value<T: Value>(&mut self) -> Result<T, sqlx::Error> {
        T::read(self)
    }

    /// The next columns, as a row of their table.
    pub(crate) fn row<R: OpsRow>(&mut self) -> Result<R, sqlx::Error> {
        self.table = R::TABLE.name;
        R::read(self)
    }

    /// The same; none if the first is null, as where an outer join found no row.
    pub(crate) fn row_if_any<R: OpsRow>(&mut self) -> Result<Option<R>, sqlx::Error> {
        if self.skips_null()? {
            self.next += R::TABLE.columns.len() - 1;
            return Ok(None);
        }
        self.row().map(Some)
    }

    /// A count, or another number that is not negative.
    pub(crate) fn count(&mut self) -> Result<u64, sqlx::Error> {
        self.integer(|number| u64::try_from(number).ok())
    }
}

impl ColumnReader for Columns<'_> {
    type Error = sqlx::Error;

    fn skips_null(&mut self) -> Result<bool, sqlx::Error> {
        let is_null = self.row.try_get_raw(self.next)?.is_null();
        self.next += usize::from(is_null);
        Ok(is_null)
    }

    fn uuid(&mut self) -> Result<Uuid, sqlx::Error> {
        self.decoded()
    }

    fn text<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Misread>) -> Result<T, sqlx::Error> {
        let index = self.next;
        read(self.decoded()?).map_err(|error| self.misfit(index, error))
    }

    /// A `jsonb` value. Its binary form is a version and a text.
    fn json(&mut self) -> Result<Json, sqlx::Error> {
        let index = self.take();
        let value = self.row.try_get_raw(index)?;
        let bytes = value.as_bytes().map_err(|error| self.misfit(index, error))?;
        let Some((1, text)) = bytes.split_first() else {
            return Err(self.misfit(index, Misfit("jsonb")));
        };
        let text = std::str::from_utf8(text).map_err(|error| self.misfit(index, error))?;
        Json::from_rewritten(text).map_err(|error| self.misfit(index, error))
    }

    fn time(&mut self) -> Result<Timestamp, sqlx::Error> {
        let index = self.take();
        timestamp(self.row, index).ok_or_else(|| self.misfit(index, Misfit("time of our calendar")))
    }

    fn hash(&mut self) -> Result<[u8; 32], sqlx::Error> {
        let index = self.next;
        let bytes: &[u8] = self.decoded()?;
        bytes.try_into().map_err(|_| self.misfit(index, Misfit("hash of 32 bytes")))
    }

    fn integer<T>(&mut self, read: impl FnOnce(i64) -> Option<T>) -> Result<T, sqlx::Error> {
        let index = self.next;
        let number = self.decoded()?;
        read(number).ok_or_else(|| self.misfit(index, Misfit("number that belongs there")))
    }

    fn small<T>(&mut self, read: impl FnOnce(i16) -> Option<T>) -> Result<T, sqlx::Error> {
        let index = self.next;
        let number = self.decoded()?;
        read(number).ok_or_else(|| self.misfit(index, Misfit("number that belongs there")))
    }
}
