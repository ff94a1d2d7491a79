//! The read model as somebody who builds on one of the peers would fill it.
//!
//! Both hand their handler one event at a time, and no transaction to write in: what it writes goes
//! through a pool, and commits by itself. So each event is one statement here, which is all that a
//! handler can do for speed, and one that may run twice, since both deliver at least once.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use sqlx_08::PgPool;

use crate::event::Event;

/// Makes the tables of a library.
pub(crate) async fn execute(url: &str, sql: &'static str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(sql).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Makes the tables of the read model.
pub(crate) async fn create(pool: &PgPool) -> anyhow::Result<()> {
    sqlx_08::raw_sql(include_str!("read_model.sql")).execute(pool).await?;
    Ok(())
}

/// Brings the tables up to date with an event.
pub(crate) async fn apply(pool: &PgPool, event: Event) -> Result<(), sqlx_08::Error> {
    let statement = match event {
        Event::AccordBound(it) => sqlx_08::query(
            "INSERT INTO read_model.accord_bindings \
             (id, name, accord_terms, bound_by, effective_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT DO NOTHING",
        )
        .bind(it.accord_id)
        .bind(it.name)
        .bind(it.accord_terms)
        .bind(it.bound_by)
        .bind(it.effective_at),
        Event::ArtifactRegistered(it) => sqlx_08::query(
            "INSERT INTO read_model.governed_artifacts \
             (id, accord_binding_id, name, artifact_type, tier, cid, content, content_schema, \
              registered_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT DO NOTHING",
        )
        .bind(it.artifact_id)
        .bind(it.accord_id)
        .bind(it.name)
        .bind(it.artifact_type)
        .bind(it.tier)
        .bind(it.cid)
        .bind(it.content)
        .bind(it.content_schema)
        .bind(it.recorded_at),
        Event::ArtifactRevised(it) => sqlx_08::query(
            "UPDATE read_model.governed_artifacts \
             SET cid = $2, content = $3, content_schema = $4, revised_at = $5 \
             WHERE id = $1 AND (revised_at IS NULL OR revised_at < $5)",
        )
        .bind(it.artifact_id)
        .bind(it.cid)
        .bind(it.content)
        .bind(it.content_schema)
        .bind(it.recorded_at),
        Event::CustodyTransitioned(it) => sqlx_08::query(
            "WITH link AS ( \
                 INSERT INTO read_model.custody_transitions \
                 (artifact_id, seq, from_state, to_state, cid, actor, reason, ceremony_id, \
                  evidence, occurred_at, prev_hash, hash) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, decode($11, 'hex'), \
                  decode($12, 'hex')) \
                 ON CONFLICT DO NOTHING \
             ) \
             UPDATE read_model.governed_artifacts SET custody_state = $4, custody_seq = $2 \
             WHERE id = $1 AND (custody_seq IS NULL OR custody_seq < $2)",
        )
        .bind(it.artifact_id)
        .bind(it.seq)
        .bind(it.from_state)
        .bind(it.to_state)
        .bind(it.cid)
        .bind(it.actor)
        .bind(it.reason)
        .bind(it.ceremony_id)
        .bind(it.evidence)
        .bind(it.occurred_at)
        .bind(it.prev_hash)
        .bind(it.hash),
        Event::DeploymentObserved(it) => {
            let health = match &it.observed_cid {
                None => "unknown",
                Some(observed) if *observed == it.desired_cid => "healthy",
                Some(_) => "drifted",
            };
            sqlx_08::query(
                "INSERT INTO read_model.deployment_states AS old \
                 (artifact_id, target, desired_cid, observed_cid, health, health_since, detail, \
                  observed_at) VALUES ($1, $2, $3, $4, $5, $7, $6, $7) \
                 ON CONFLICT (artifact_id, target) DO UPDATE SET \
                     desired_cid = excluded.desired_cid, observed_cid = excluded.observed_cid, \
                     health = excluded.health, detail = excluded.detail, \
                     observed_at = excluded.observed_at, \
                     health_since = CASE WHEN old.health = excluded.health \
                         THEN old.health_since ELSE excluded.health_since END \
                 WHERE excluded.observed_at >= old.observed_at",
            )
            .bind(it.artifact_id)
            .bind(it.target)
            .bind(it.desired_cid)
            .bind(it.observed_cid)
            .bind(health)
            .bind(it.detail)
            .bind(it.observed_at)
        }
        Event::VerificationRecorded(it) => sqlx_08::query(
            "INSERT INTO read_model.verification_results \
             (id, artifact_id, target, verifier, outcome, evidence, verified_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT DO NOTHING",
        )
        .bind(it.event_id)
        .bind(it.artifact_id)
        .bind(it.target)
        .bind(it.verifier)
        .bind(it.outcome)
        .bind(it.evidence)
        .bind(it.verified_at),
    };
    statement.execute(pool).await?;
    Ok(())
}

/// The tables, and the columns that Guildhall's and the peers' have in common: all but positions.
const TABLES: [(&str, &str); 5] = [
    ("accord_bindings", "id, name, accord_terms, bound_by, effective_at"),
    (
        "governed_artifacts",
        "id, accord_binding_id, name, artifact_type, tier, cid, content, content_schema, \
         custody_state, custody_seq, registered_at, revised_at",
    ),
    (
        "custody_transitions",
        "artifact_id, seq, from_state, to_state, cid, actor, reason, ceremony_id, evidence, \
         occurred_at, prev_hash, hash",
    ),
    (
        "deployment_states",
        "artifact_id, target, desired_cid, observed_cid, health, health_since, detail, observed_at",
    ),
    ("verification_results", "id, artifact_id, target, verifier, outcome, evidence, verified_at"),
];

/// How many rows each table of a schema has and a digest of them, whatever the order in which they
/// were written.
pub(crate) async fn digest(url: &str, schema: &str) -> anyhow::Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let mut digests = Vec::new();
    for (table, columns) in TABLES {
        let digest = format!(
            "SELECT concat_ws(' ', count(*), sum(hashtextextended(it::text, 0)::numeric))
             FROM (SELECT {columns} FROM {schema}.{table}) AS it"
        );
        let digest: String =
            sqlx::query_scalar(AssertSqlSafe(digest)).fetch_one(&mut connection).await?;
        digests.push(digest);
    }
    connection.close().await?;
    Ok(digests.join(", "))
}
