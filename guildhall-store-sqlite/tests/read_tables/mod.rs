//! Every row of an Ops DB in SQLite, read with SQL of its own.

use guildhall_core::{
    AccordBinding, AccordId, ArtifactId, ArtifactRevision, CeremonyId, Checkpoint,
    CustodyTransition, DeploymentChange, DeploymentState, EventId, EventType, GovernedArtifact,
    Json, LeafHash, LinkHash, Position, QuarantinedEntry, Revision, RowCount, Seq, StreamId,
    Tables, Tier, VerificationResult,
};
use guildhall_store_sqlite::rusqlite::{self, Connection, Row};
use uuid::Uuid;

/// The rows of the ten tables: what the store's queries answer is not taken for granted.
pub(crate) fn read_tables(connection: &Connection) -> Tables {
    Tables {
        accord_bindings: rows(connection, "accord_bindings", "id", |row| AccordBinding {
            id: AccordId::from_uuid(uuid(row, "id")),
            name: get(row, "name"),
            accord_terms: json(row, "accord_terms"),
            bound_by: get(row, "bound_by"),
            effective_at: parsed(row, "effective_at"),
            position: position(row),
        }),
        governed_artifacts: rows(connection, "governed_artifacts", "id", |row| GovernedArtifact {
            id: artifact(row, "id"),
            accord_binding_id: AccordId::from_uuid(uuid(row, "accord_binding_id")),
            name: get(row, "name"),
            artifact_type: get(row, "artifact_type"),
            tier: Tier::try_from(get::<u8>(row, "tier")).unwrap(),
            cid: parsed(row, "cid"),
            content: json(row, "content"),
            content_schema: get(row, "content_schema"),
            custody_state: nullable(row, "custody_state"),
            custody_seq: get::<Option<i64>>(row, "custody_seq")
                .map(|seq| Seq::from_i64(seq).unwrap()),
            registered_at: parsed(row, "registered_at"),
            revised_at: nullable(row, "revised_at"),
            position: position(row),
        }),
        artifact_revisions: rows(
            connection,
            "artifact_revisions",
            "artifact_id, revision",
            |row| ArtifactRevision {
                artifact_id: artifact(row, "artifact_id"),
                revision: Revision::from_i64(get(row, "revision")).unwrap(),
                cid: parsed(row, "cid"),
                content: json(row, "content"),
                content_schema: get(row, "content_schema"),
                recorded_at: parsed(row, "recorded_at"),
                position: position(row),
            },
        ),
        custody_transitions: rows(connection, "custody_transitions", "artifact_id, seq", |row| {
            CustodyTransition {
                artifact_id: artifact(row, "artifact_id"),
                seq: Seq::from_i64(get(row, "seq")).unwrap(),
                from_state: nullable(row, "from_state"),
                to_state: parsed(row, "to_state"),
                cid: parsed(row, "cid"),
                actor: get(row, "actor"),
                reason: get(row, "reason"),
                ceremony_id: get::<Option<[u8; 16]>>(row, "ceremony_id")
                    .map(|bytes| CeremonyId::from_uuid(Uuid::from_bytes(bytes))),
                evidence: json(row, "evidence"),
                occurred_at: parsed(row, "occurred_at"),
                prev_hash: get::<Option<[u8; 32]>>(row, "prev_hash").map(LinkHash::from_bytes),
                hash: LinkHash::from_bytes(get(row, "hash")),
                position: position(row),
            }
        }),
        deployment_states: rows(connection, "deployment_states", "artifact_id, target", |row| {
            DeploymentState {
                artifact_id: artifact(row, "artifact_id"),
                target: get(row, "target"),
                desired_cid: parsed(row, "desired_cid"),
                observed_cid: nullable(row, "observed_cid"),
                health: parsed(row, "health"),
                health_since: parsed(row, "health_since"),
                detail: json(row, "detail"),
                observed_at: parsed(row, "observed_at"),
                position: position(row),
            }
        }),
        deployment_changes: rows(
            connection,
            "deployment_changes",
            "artifact_id, target, observed_at, position",
            |row| DeploymentChange {
                artifact_id: artifact(row, "artifact_id"),
                target: get(row, "target"),
                observed_at: parsed(row, "observed_at"),
                desired_cid: parsed(row, "desired_cid"),
                observed_cid: nullable(row, "observed_cid"),
                previous_health: nullable(row, "previous_health"),
                health: parsed(row, "health"),
                health_since: parsed(row, "health_since"),
                position: position(row),
            },
        ),
        verification_results: rows(connection, "verification_results", "id", |row| {
            VerificationResult {
                id: EventId::from_uuid(uuid(row, "id")),
                artifact_id: artifact(row, "artifact_id"),
                target: get(row, "target"),
                verifier: get(row, "verifier"),
                outcome: parsed(row, "outcome"),
                evidence: json(row, "evidence"),
                verified_at: parsed(row, "verified_at"),
                position: position(row),
            }
        }),
        quarantined_entries: rows(connection, "quarantined_entries", "position", |row| {
            QuarantinedEntry {
                position: position(row),
                event_id: EventId::from_uuid(uuid(row, "event_id")),
                stream_id: StreamId::from_uuid(uuid(row, "stream_id")),
                event_type: EventType::new(&get::<String>(row, "event_type")),
                code: parsed(row, "code"),
                reason: get(row, "reason"),
            }
        }),
        row_counts: rows(connection, "row_counts", "counted", |row| RowCount {
            counted: parsed(row, "counted"),
            rows: get(row, "rows"),
            position: position(row),
        }),
        projector_checkpoints: rows(connection, "projector_checkpoints", "projector", |row| {
            let checkpoint = Checkpoint {
                position: position(row),
                leaf_hash: get::<Option<[u8; 32]>>(row, "leaf_hash").map(LeafHash::from_bytes),
                origin: nullable(row, "origin"),
            };
            (get(row, "projector"), checkpoint)
        })
        .into_iter()
        .collect(),
    }
}

fn rows<T>(connection: &Connection, table: &str, key: &str, row: impl Fn(&Row<'_>) -> T) -> Vec<T> {
    let mut select = connection.prepare(&format!("SELECT * FROM {table} ORDER BY {key}")).unwrap();
    select.query_map([], |found| Ok(row(found))).unwrap().collect::<Result<_, _>>().unwrap()
}

fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: &str) -> T {
    row.get(column).unwrap()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(row: &Row<'_>, column: &str) -> T {
    get::<String>(row, column).parse().unwrap()
}

fn nullable<T: std::str::FromStr<Err: std::fmt::Debug>>(row: &Row<'_>, column: &str) -> Option<T> {
    get::<Option<String>>(row, column).map(|text| text.parse().unwrap())
}

fn json(row: &Row<'_>, column: &str) -> Json {
    Json::from_canonical(get::<String>(row, column)).unwrap()
}

fn artifact(row: &Row<'_>, column: &str) -> ArtifactId {
    ArtifactId::from_uuid(uuid(row, column))
}

fn uuid(row: &Row<'_>, column: &str) -> Uuid {
    Uuid::from_bytes(get(row, column))
}

fn position(row: &Row<'_>) -> Position {
    Position::from_i64(get(row, "position")).unwrap()
}
