//! Values as the Ops DB's columns hold them, both ways. Someone else may have written a row, so
//! reading one can fail.

use std::error::Error;

use guildhall_core::store::{ColumnReader, ColumnWriter, Misread, Row as OpsRow, Value};
use guildhall_core::{Cid, Json, Timestamp};
use rusqlite::types::{ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Row, Statement};
use uuid::Uuid;

/// A time as its 27 characters, bound without allocating.
pub(crate) struct TimeText([u8; 27]);

impl From<Timestamp> for TimeText {
    fn from(at: Timestamp) -> Self {
        Self(at.to_bytes())
    }
}

impl ToSql for TimeText {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

/// A CID as its 59 characters, bound without allocating.
pub(crate) struct CidText([u8; 59]);

impl From<Cid> for CidText {
    fn from(cid: Cid) -> Self {
        let mut text = [0; 59];
        cid.encode(&mut text);
        Self(text)
    }
}

impl ToSql for CidText {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

/// Binds the columns of a row, in order, to the parameters of a statement.
struct Parameters<'s, 'c> {
    statement: &'s mut Statement<'c>,
    next: usize,
}

impl Parameters<'_, '_> {
    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(())
    }
}

impl<'r> ColumnWriter<'r> for Parameters<'_, '_> {
    type Error = rusqlite::Error;

    fn null(&mut self) -> rusqlite::Result<()> {
        self.bind(rusqlite::types::Null)
    }

    fn uuid(&mut self, value: Uuid) -> rusqlite::Result<()> {
        self.bind(value.as_bytes())
    }

    fn text(&mut self, value: &'r str) -> rusqlite::Result<()> {
        self.bind(value)
    }

    fn cid(&mut self, value: Cid) -> rusqlite::Result<()> {
        self.bind(CidText::from(value))
    }

    fn json(&mut self, value: &'r Json) -> rusqlite::Result<()> {
        self.bind(value.as_str())
    }

    fn time(&mut self, value: Timestamp) -> rusqlite::Result<()> {
        self.bind(TimeText::from(value))
    }

    fn hash(&mut self, value: &'r [u8; 32]) -> rusqlite::Result<()> {
        self.bind(value)
    }

    fn integer(&mut self, value: i64) -> rusqlite::Result<()> {
        self.bind(value)
    }

    fn small(&mut self, value: i16) -> rusqlite::Result<()> {
        self.bind(value)
    }
}

/// Writes a row by a statement that takes all of its columns, in order.
pub(crate) fn write_row<R: OpsRow>(statement: &mut Statement<'_>, row: &R) -> rusqlite::Result<()> {
    row.write(&mut Parameters { statement, next: 1 })?;
    statement.raw_execute().map(drop)
}

/// A column holds something that does not belong there: somebody changed the row. A rebuild of the
/// Ops DB restores it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{table}.{column} of the row that position {} wrote holds what Guildhall does not write: {reason}; rebuild the Ops DB",
    .position.map_or_else(|| "?".to_owned(), |position| position.to_string())
)]
struct BadCell {
    table: &'static str,
    column: String,
    position: Option<i64>,
    reason: Box<dyn Error + Send + Sync>,
}

/// A number is outside of what a column may hold.
#[derive(Debug, thiserror::Error)]
#[error("{0} is out of range")]
struct OutOfRange(i64);

/// The columns of a row, in order, as what they mean.
pub(crate) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
    table: &'static str,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: 0, table: "the answer" }
    }

    /// The same, of a row of this table.
    pub(crate) fn of_table(row: &'r Row<'r>, table: &'static str) -> Self {
        Self { row, next: 0, table }
    }

    /// What a column holds is not what belongs there.
    fn misfit(
        &self,
        index: usize,
        value: ValueRef<'_>,
        reason: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> rusqlite::Error {
        let column = self.row.as_ref().column_name(index).unwrap_or("?").to_owned();
        let position = self.row.get("position").ok();
        let (table, reason) = (self.table, reason.into());
        let cell = BadCell { table, column, position, reason };
        rusqlite::Error::FromSqlConversionFailure(index, value.data_type(), cell.into())
    }

    /// The next column as what `read` makes of it.
    fn read<T, E>(&mut self, read: impl FnOnce(ValueRef<'r>) -> Result<T, E>) -> rusqlite::Result<T>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let index = self.next;
        self.next += 1;
        let value = self.row.get_ref(index)?;
        read(value).map_err(|error| self.misfit(index, value, error))
    }

    /// The next column, as what it means.
    pub(crate) fn value<T: Value>(&mut self) -> rusqlite::Result<T> {
        T::read(self)
    }

    /// The next columns, as a row of their table.
    pub(crate) fn row<R: OpsRow>(&mut self) -> rusqlite::Result<R> {
        self.table = R::TABLE.name;
        R::read(self)
    }

    /// The same; none if the first is null, as where an outer join found no row.
    pub(crate) fn row_if_any<R: OpsRow>(&mut self) -> rusqlite::Result<Option<R>> {
        if self.skips_null()? { Ok(None) } else { self.row().map(Some) }
    }

    /// A count, or another number that is not negative.
    pub(crate) fn count(&mut self) -> rusqlite::Result<u64> {
        self.integer(|number| u64::try_from(number).ok())
    }
}

impl ColumnReader for Columns<'_> {
    type Error = rusqlite::Error;

    fn skips_null(&mut self) -> rusqlite::Result<bool> {
        let is_null = self.row.get_ref(self.next)?.data_type() == Type::Null;
        self.next += usize::from(is_null);
        Ok(is_null)
    }

    fn uuid(&mut self) -> rusqlite::Result<Uuid> {
        self.read(|value| -> Result<_, Misread> {
            Ok(Uuid::from_bytes(value.as_blob()?.try_into()?))
        })
    }

    fn text<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Misread>) -> rusqlite::Result<T> {
        self.read(|value| read(value.as_str()?))
    }

    fn json(&mut self) -> rusqlite::Result<Json> {
        self.text(|text| Ok(Json::from_canonical(text)?))
    }

    fn time(&mut self) -> rusqlite::Result<Timestamp> {
        // `parse` also reads what people write.
        self.text(|text| Ok(Timestamp::from_canonical(text)?))
    }

    fn hash(&mut self) -> rusqlite::Result<[u8; 32]> {
        self.read(|value| -> Result<_, Misread> { Ok(value.as_blob()?.try_into()?) })
    }

    fn integer<T>(&mut self, read: impl FnOnce(i64) -> Option<T>) -> rusqlite::Result<T> {
        self.read(|value| -> Result<_, Misread> {
            let number = value.as_i64()?;
            Ok(read(number).ok_or(OutOfRange(number))?)
        })
    }

    fn small<T>(&mut self, read: impl FnOnce(i16) -> Option<T>) -> rusqlite::Result<T> {
        self.integer(|number| i16::try_from(number).ok().and_then(read))
    }
}
