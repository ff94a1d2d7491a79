//! Every row of an Ops DB in PostgreSQL, read with SQL of its own, each value as its text.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::fmt::Debug;
use std::str::FromStr;

use guildhall_core::{
    AccordBinding, AccordId, ArtifactId, ArtifactRevision, CeremonyId, Checkpoint,
    CustodyTransition, DeploymentChange, DeploymentState, EventId, EventType, GovernedArtifact,
    Json, Position, QuarantinedEntry, Revision, RowCount, Seq, StreamId, Tables, Tier,
    VerificationResult,
};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Row as _};

/// The rows of the ten tables of a schema: what the store's queries answer is not taken for
/// granted.
pub(crate) async fn read_tables(url: &str, schema: &str) -> Tables {
    // Some tests give the database time-outs that a reader on a busy machine would run into.
    let patient = [("idle_session_timeout", "0"), ("statement_timeout", "0")];
    let options = PgConnectOptions::from_str(url).unwrap().options(patient);
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let c = &mut connection;
    let tables = Tables {
        accord_bindings: rows(c, schema, "accord_bindings", "id", |row| AccordBinding {
            id: AccordId::from_uuid(row.parsed("id")),
            name: row.text("name"),
            accord_terms: row.json("accord_terms"),
            bound_by: row.text("bound_by"),
            effective_at: row.parsed("effective_at"),
            position: row.position(),
        })
        .await,
        governed_artifacts: rows(c, schema, "governed_artifacts", "id", |row| GovernedArtifact {
            id: row.artifact("id"),
            accord_binding_id: AccordId::from_uuid(row.parsed("accord_binding_id")),
            name: row.text("name"),
            artifact_type: row.text("artifact_type"),
            tier: Tier::try_from(row.parsed::<u8>("tier")).unwrap(),
            cid: row.parsed("cid"),
            content: row.json("content"),
            content_schema: row.text("content_schema"),
            custody_state: row.nullable("custody_state"),
            custody_seq: row.nullable("custody_seq").map(|seq| Seq::from_i64(seq).unwrap()),
            registered_at: row.parsed("registered_at"),
            revised_at: row.nullable("revised_at"),
            position: row.position(),
        })
        .await,
        artifact_revisions: rows(c, schema, "artifact_revisions", "artifact_id, revision", |row| {
            ArtifactRevision {
                artifact_id: row.artifact("artifact_id"),
                revision: Revision::from_i64(row.parsed("revision")).unwrap(),
                cid: row.parsed("cid"),
                content: row.json("content"),
                content_schema: row.text("content_schema"),
                recorded_at: row.parsed("recorded_at"),
                position: row.position(),
            }
        })
        .await,
        custody_transitions: rows(c, schema, "custody_transitions", "artifact_id, seq", |row| {
            CustodyTransition {
                artifact_id: row.artifact("artifact_id"),
                seq: Seq::from_i64(row.parsed("seq")).unwrap(),
                from_state: row.nullable("from_state"),
                to_state: row.parsed("to_state"),
                cid: row.parsed("cid"),
                actor: row.text("actor"),
                reason: row.text("reason"),
                ceremony_id: row.nullable("ceremony_id").map(CeremonyId::from_uuid),
                evidence: row.json("evidence"),
                occurred_at: row.parsed("occurred_at"),
                prev_hash: row.nullable("prev_hash"),
                hash: row.parsed("hash"),
                position: row.position(),
            }
        })
        .await,
        deployment_states: rows(c, schema, "deployment_states", "artifact_id, target", |row| {
            DeploymentState {
                artifact_id: row.artifact("artifact_id"),
                target: row.text("target"),
                desired_cid: row.parsed("desired_cid"),
                observed_cid: row.nullable("observed_cid"),
                health: row.parsed("health"),
                health_since: row.parsed("health_since"),
                detail: row.json("detail"),
                observed_at: row.parsed("observed_at"),
                position: row.position(),
            }
        })
        .await,
        deployment_changes: rows(
            c,
            schema,
            "deployment_changes",
            "artifact_id, target, observed_at, position",
            |row| DeploymentChange {
                artifact_id: row.artifact("artifact_id"),
                target: row.text("target"),
                observed_at: row.parsed("observed_at"),
                desired_cid: row.parsed("desired_cid"),
                observed_cid: row.nullable("observed_cid"),
                previous_health: row.nullable("previous_health"),
                health: row.parsed("health"),
                health_since: row.parsed("health_since"),
                position: row.position(),
            },
        )
        .await,
        verification_results: rows(c, schema, "verification_results", "id", |row| {
            VerificationResult {
                id: EventId::from_uuid(row.parsed("id")),
                artifact_id: row.artifact("artifact_id"),
                target: row.nullable("target"),
                verifier: row.text("verifier"),
                outcome: row.parsed("outcome"),
                evidence: row.json("evidence"),
                verified_at: row.parsed("verified_at"),
                position: row.position(),
            }
        })
        .await,
        quarantined_entries: rows(c, schema, "quarantined_entries", "position", |row| {
            QuarantinedEntry {
                position: row.position(),
                event_id: EventId::from_uuid(row.parsed("event_id")),
                stream_id: StreamId::from_uuid(row.parsed("stream_id")),
                event_type: EventType::new(&row.text("event_type")),
                code: row.parsed("code"),
                reason: row.text("reason"),
            }
        })
        .await,
        row_counts: rows(c, schema, "row_counts", "counted", |row| RowCount {
            counted: row.parsed("counted"),
            rows: row.parsed("rows"),
            position: row.position(),
        })
        .await,
        projector_checkpoints: rows(c, schema, "projector_checkpoints", "projector", |row| {
            let checkpoint = Checkpoint {
                position: row.position(),
                leaf_hash: row.nullable("leaf_hash"),
                origin: row.nullable("origin"),
            };
            (row.text("projector"), checkpoint)
        })
        .await
        .into_iter()
        .collect(),
    };
    connection.close().await.unwrap();
    tables
}

/// The values of a row, by column; none is null.
struct Row(HashMap<String, Option<String>>);

impl Row {
    fn text(&self, column: &str) -> String {
        self.0[column].clone().unwrap()
    }

    fn parsed<T: FromStr<Err: Debug>>(&self, column: &str) -> T {
        self.nullable(column).unwrap()
    }

    fn nullable<T: FromStr<Err: Debug>>(&self, column: &str) -> Option<T> {
        self.0[column].as_ref().map(|text| text.parse().unwrap())
    }

    fn json(&self, column: &str) -> Json {
        Json::from_rewritten(&self.text(column)).unwrap()
    }

    fn artifact(&self, column: &str) -> ArtifactId {
        ArtifactId::from_uuid(self.parsed(column))
    }

    fn position(&self) -> Position {
        Position::from_i64(self.parsed("position")).unwrap()
    }
}

async fn rows<T>(
    connection: &mut PgConnection,
    schema: &str,
    table: &str,
    key: &str,
    read: impl Fn(&Row) -> T,
) -> Vec<T> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT column_name::text, data_type::text FROM information_schema.columns \
         WHERE table_schema = $1 AND table_name = $2",
    )
    .bind(schema)
    .bind(table)
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let values: Vec<_> = columns
        .iter()
        .map(|(name, kind)| match kind.as_str() {
            "timestamp with time zone" => {
                format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
            }
            "bytea" => format!("encode({name}, 'hex')"),
            _ => format!("{name}::text"),
        })
        .collect();
    let schema = schema.replace('"', "\"\"");
    // Qualified, as the texts have the same names.
    let key: Vec<_> = key.split(", ").map(|column| format!("{table}.{column}")).collect();
    let (values, key) = (values.join(", "), key.join(", "));
    let sql = format!("SELECT {values} FROM \"{schema}\".{table} ORDER BY {key}");
    let found = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
    let row = |row: &sqlx::postgres::PgRow| {
        let names = columns.iter().map(|(name, _)| name.clone());
        Row(names.enumerate().map(|(at, name)| (name, row.try_get(at).unwrap())).collect())
    };
    found.iter().map(|found| read(&row(found))).collect()
}
