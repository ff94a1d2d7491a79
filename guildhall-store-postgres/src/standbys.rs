//! Who follows the server that is written to, and whether commits wait for them.

use sqlx::{PgConnection, Row};

/// The standbys of a server, as it reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standbys {
    pub(crate) count: u64,
    /// Whether a commit waits until a standby has it.
    pub(crate) is_synchronous: bool,
}

impl Standbys {
    pub(crate) async fn load(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let standbys = sqlx::query(include_str!("sql/standbys.sql"));
        let row = standbys.fetch_one(connection).await?;
        let count: i64 = row.try_get(0)?;
        Ok(Self { count: count.cast_unsigned(), is_synchronous: row.try_get(1)? })
    }

    /// Tells whoever reads the logs what a failover would cost.
    pub(crate) fn warn(self) {
        if self.count > 0 && !self.is_synchronous {
            tracing::warn!(
                standbys = self.count,
                "no standby is synchronous: when one takes over, what was acknowledged may be lost"
            );
        }
    }
}

/// No standby is synchronous, and the store demands one.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no standby is synchronous (synchronous_standby_names), and one is required to append")]
pub(crate) struct NoStandby;
