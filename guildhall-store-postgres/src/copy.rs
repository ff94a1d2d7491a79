//! Rows in the binary form of COPY (PostgreSQL's documentation of COPY, "Binary Format").

use std::convert::Infallible;

use guildhall_core::store::{ColumnWriter, Row};
use guildhall_core::{Cid, Json, Timestamp};
use sqlx::{PgConnection, SqlStr};
use uuid::Uuid;

use crate::entries::YEAR_2000;

/// How many bytes are gathered before they are sent.
const CHUNK_BYTES: usize = 256 << 10;

/// The signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The values of rows, one after the other.
struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Adds a row: how many columns it has, and each of them.
    fn row<R: Row>(&mut self, row: &R) {
        // No table of PostgreSQL's has more columns than fit.
        let columns = i16::try_from(R::TABLE.columns.len()).unwrap_or(i16::MAX);
        self.bytes.extend_from_slice(&columns.to_be_bytes());
        let Ok(()) = row.write(self);
    }

    fn value(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Infallible> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        // A value of two gigabytes could not have been read.
        let length = i32::try_from(self.bytes.len() - start - 4).unwrap_or(i32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }
}

impl<'r> ColumnWriter<'r> for Encoder {
    type Error = Infallible;

    fn null(&mut self) -> Result<(), Infallible> {
        self.bytes.extend_from_slice(&(-1i32).to_be_bytes());
        Ok(())
    }

    fn uuid(&mut self, value: Uuid) -> Result<(), Infallible> {
        self.value(|bytes| bytes.extend_from_slice(value.as_bytes()))
    }

    fn text(&mut self, value: &'r str) -> Result<(), Infallible> {
        self.value(|bytes| bytes.extend_from_slice(value.as_bytes()))
    }

    fn cid(&mut self, value: Cid) -> Result<(), Infallible> {
        let mut text = [0; 59];
        value.encode(&mut text);
        self.value(|bytes| bytes.extend_from_slice(&text))
    }

    /// `jsonb`: the version of the format, and the text.
    fn json(&mut self, value: &'r Json) -> Result<(), Infallible> {
        self.value(|bytes| {
            bytes.push(1);
            bytes.extend_from_slice(value.as_str().as_bytes());
        })
    }

    /// Microseconds since 2000.
    fn time(&mut self, value: Timestamp) -> Result<(), Infallible> {
        self.integer(value.as_micros() - YEAR_2000)
    }

    fn hash(&mut self, value: &'r [u8; 32]) -> Result<(), Infallible> {
        self.value(|bytes| bytes.extend_from_slice(value))
    }

    fn integer(&mut self, value: i64) -> Result<(), Infallible> {
        self.value(|bytes| bytes.extend_from_slice(&value.to_be_bytes()))
    }

    fn small(&mut self, value: i16) -> Result<(), Infallible> {
        self.value(|bytes| bytes.extend_from_slice(&value.to_be_bytes()))
    }
}

/// Copies rows into a table by `COPY … FROM STDIN (FORMAT binary)`; nothing where there are none.
pub(crate) async fn copy_rows<R: Row>(
    connection: &mut PgConnection,
    sql: SqlStr,
    rows: &[R],
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut encoder = Encoder { bytes: HEADER.to_vec() };
    let mut copy = connection.copy_in_raw(sql.as_str()).await?;
    for row in rows {
        encoder.row(row);
        if encoder.bytes.len() >= CHUNK_BYTES {
            copy.send(encoder.bytes.as_slice()).await?;
            encoder.bytes.clear();
        }
    }
    encoder.bytes.extend_from_slice(&(-1i16).to_be_bytes());
    copy.send(encoder.bytes.as_slice()).await?;
    copy.finish().await?;
    Ok(())
}
