//! Rows in the binary form of COPY (PostgreSQL's documentation of COPY, "Binary Format").

use guildhall_core::{Cid, Json, Timestamp};
use sqlx::{PgConnection, SqlStr};
use uuid::Uuid;

use crate::row::YEAR_2000;

/// How many bytes are gathered before they are sent.
const CHUNK_BYTES: usize = 256 << 10;

/// The signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The values of rows, one after the other.
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Begins a row of so many columns, each of which has to follow.
    pub(crate) fn row(&mut self, columns: i16) -> &mut Self {
        self.bytes.extend_from_slice(&columns.to_be_bytes());
        self
    }

    fn value(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(&mut self.bytes);
        // A value of two gigabytes is none that could have been read.
        let length = i32::try_from(self.bytes.len() - start - 4).unwrap_or(i32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
        self
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&(-1i32).to_be_bytes());
        self
    }

    pub(crate) fn nullable<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }

    pub(crate) fn uuid(&mut self, id: &Uuid) -> &mut Self {
        self.value(|bytes| bytes.extend_from_slice(id.as_bytes()))
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.value(|bytes| bytes.extend_from_slice(text.as_bytes()))
    }

    pub(crate) fn bytea(&mut self, value: &[u8]) -> &mut Self {
        self.value(|bytes| bytes.extend_from_slice(value))
    }

    pub(crate) fn bigint(&mut self, number: i64) -> &mut Self {
        self.value(|bytes| bytes.extend_from_slice(&number.to_be_bytes()))
    }

    pub(crate) fn smallint(&mut self, number: i16) -> &mut Self {
        self.value(|bytes| bytes.extend_from_slice(&number.to_be_bytes()))
    }

    /// Microseconds since 2000.
    pub(crate) fn time(&mut self, at: Timestamp) -> &mut Self {
        self.bigint(at.as_micros() - YEAR_2000)
    }

    pub(crate) fn cid(&mut self, cid: Cid) -> &mut Self {
        let mut text = [0; 59];
        cid.encode(&mut text);
        self.bytea(&text)
    }

    /// The version of the format, and the text.
    pub(crate) fn jsonb(&mut self, json: &Json) -> &mut Self {
        self.value(|bytes| {
            bytes.push(1);
            bytes.extend_from_slice(json.as_str().as_bytes());
        })
    }
}

/// Copies rows into a table by `COPY … FROM STDIN (FORMAT binary)`; nothing where there are none.
pub(crate) async fn copy_rows<T>(
    connection: &mut PgConnection,
    sql: SqlStr,
    rows: &[T],
    encode: impl Fn(&mut Encoder, &T),
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut encoder = Encoder { bytes: HEADER.to_vec() };
    let mut copy = connection.copy_in_raw(sql.as_str()).await?;
    for row in rows {
        encode(&mut encoder, row);
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
