-- The tables of the Ops DB, filled from the Chronicle the way somebody good at SQL would, without
-- checking a single invariant: one statement a table. A JSON null comes out of a record as a null.

INSERT INTO guildhall.accord_bindings (id, name, accord_terms, bound_by, effective_at, position)
SELECT stream_id, data.name, data.accord_terms, data.bound_by, data.effective_at, position
FROM guildhall.chronicle_entries, jsonb_to_record(payload::jsonb) AS data (
    name text, accord_terms jsonb, bound_by text, effective_at timestamptz
)
WHERE event_type = 'dev.guildhouse.chronicle.accord.bound.v1';

-- Each artifact as its newest revision and its newest transition leave it.
INSERT INTO guildhall.governed_artifacts (
    id, accord_binding_id, name, artifact_type, tier, cid, content, content_schema, custody_state,
    custody_seq, registered_at, revised_at, position
)
SELECT
    entry.stream_id, data.accord_id, data.name, data.artifact_type, data.tier,
    coalesce(revised.cid, data.cid), coalesce(revised.content, data.content),
    coalesce(revised.content_schema, data.content_schema), moved.to_state, moved.seq,
    entry.recorded_at, revised.recorded_at,
    greatest(entry.position, revised.position, moved.position)
FROM guildhall.chronicle_entries AS entry
CROSS JOIN jsonb_to_record(entry.payload::jsonb) AS data (
    accord_id uuid, name text, artifact_type text, tier smallint, cid text, content jsonb,
    content_schema text
)
LEFT JOIN (
    SELECT DISTINCT ON (stream_id)
        stream_id, data.cid, data.content, data.content_schema, recorded_at, position
    FROM guildhall.chronicle_entries, jsonb_to_record(payload::jsonb) AS data (
        cid text, content jsonb, content_schema text
    )
    WHERE event_type = 'dev.guildhouse.chronicle.artifact.revised.v1'
    ORDER BY stream_id, position DESC
) AS revised USING (stream_id)
LEFT JOIN (
    SELECT DISTINCT ON (stream_id) stream_id, data.to_state, data.seq, position
    FROM guildhall.chronicle_entries, jsonb_to_record(payload::jsonb) AS data (
        to_state text, seq bigint
    )
    WHERE event_type = 'dev.guildhouse.chronicle.custody.transitioned.v1'
    ORDER BY stream_id, position DESC
) AS moved USING (stream_id)
WHERE entry.event_type = 'dev.guildhouse.chronicle.artifact.registered.v1';

INSERT INTO guildhall.custody_transitions (
    artifact_id, seq, from_state, to_state, cid, actor, reason, ceremony_id, evidence, occurred_at,
    prev_hash, hash, position
)
SELECT
    stream_id, data.seq, data.from_state, data.to_state, data.cid, data.actor, data.reason,
    data.ceremony_id, coalesce(data.evidence, 'null'), data.occurred_at, decode(data.prev_hash, 'hex'),
    decode(data.hash, 'hex'), position
FROM guildhall.chronicle_entries, jsonb_to_record(payload::jsonb) AS data (
    seq bigint, from_state text, to_state text, cid text, actor text, reason text,
    ceremony_id uuid, evidence jsonb, occurred_at timestamptz, prev_hash text, hash text
)
WHERE event_type = 'dev.guildhouse.chronicle.custody.transitioned.v1';

-- The last observation of each target that was not late when it came, and since when its health is
-- what it is.
INSERT INTO guildhall.deployment_states (
    artifact_id, target, desired_cid, observed_cid, health, health_since, detail, observed_at,
    position
)
WITH observed AS (
    SELECT
        stream_id, position, data.*,
        CASE
            WHEN data.observed_cid IS NULL THEN 'unknown'
            WHEN data.observed_cid = data.desired_cid THEN 'healthy'
            ELSE 'drifted'
        END AS health
    FROM guildhall.chronicle_entries, jsonb_to_record(payload::jsonb) AS data (
        target text, desired_cid text, observed_cid text, detail jsonb, observed_at timestamptz
    )
    WHERE event_type = 'dev.guildhouse.chronicle.deployment.observed.v1'
),
ranked AS (
    SELECT *, max(observed_at) OVER by_target AS newest
    FROM observed
    WINDOW by_target AS (PARTITION BY stream_id, target ORDER BY position)
),
in_time AS (
    SELECT *, health IS DISTINCT FROM lag(health) OVER by_target AS is_change
    FROM ranked
    WHERE observed_at = newest
    WINDOW by_target AS (PARTITION BY stream_id, target ORDER BY position)
),
since AS (
    SELECT
        *,
        -- What is in time is in the order of its times, so the last change has the latest.
        max(observed_at) FILTER (WHERE is_change) OVER by_target AS health_since,
        row_number() OVER by_target = count(*) OVER (PARTITION BY stream_id, target) AS is_last
    FROM in_time
    WINDOW by_target AS (PARTITION BY stream_id, target ORDER BY position)
)
SELECT
    stream_id, target, desired_cid, observed_cid, health, health_since, coalesce(detail, 'null'),
    observed_at, position
FROM since
WHERE is_last;

INSERT INTO guildhall.verification_results (
    id, artifact_id, target, verifier, outcome, evidence, verified_at, position
)
SELECT
    event_id, stream_id, data.target, data.verifier, data.outcome, coalesce(data.evidence, 'null'),
    data.verified_at, position
FROM guildhall.chronicle_entries, jsonb_to_record(payload::jsonb) AS data (
    target text, verifier text, outcome text, evidence jsonb, verified_at timestamptz
)
WHERE event_type = 'dev.guildhouse.chronicle.verification.recorded.v1';
