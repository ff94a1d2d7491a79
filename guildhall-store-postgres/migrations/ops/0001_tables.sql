-- The tables with their keys, in foreign-key order. Texts are ordered by their bytes, whatever the
-- database's own collation is, so that pages have the same order everywhere.

CREATE TABLE {schema}.accord_bindings (
    id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    accord_terms jsonb NOT NULL,
    bound_by text NOT NULL,
    effective_at timestamptz NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT accord_bindings_key PRIMARY KEY (id)
);

CREATE TABLE {schema}.governed_artifacts (
    id uuid NOT NULL,
    accord_binding_id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    artifact_type text COLLATE "C" NOT NULL,
    tier smallint NOT NULL CHECK (tier BETWEEN 0 AND 3),
    cid text COLLATE "C" NOT NULL,
    content jsonb NOT NULL,
    content_schema text NOT NULL,
    custody_state text COLLATE "C" CHECK (custody_state IN (
        'drafted', 'ceremony_open', 'ratified', 'rejected', 'deployed', 'suspended', 'retired')),
    custody_seq bigint CHECK ((custody_seq IS NULL) = (custody_state IS NULL)),
    registered_at timestamptz NOT NULL,
    revised_at timestamptz,
    position bigint NOT NULL,
    CONSTRAINT governed_artifacts_key PRIMARY KEY (id)
);

CREATE TABLE {schema}.custody_transitions (
    artifact_id uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq >= 1),
    from_state text COLLATE "C" CHECK (from_state IN (
        'drafted', 'ceremony_open', 'ratified', 'rejected', 'deployed', 'suspended', 'retired')),
    to_state text COLLATE "C" NOT NULL CHECK (to_state IN (
        'drafted', 'ceremony_open', 'ratified', 'rejected', 'deployed', 'suspended', 'retired')),
    cid text COLLATE "C" NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    ceremony_id uuid,
    evidence jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    prev_hash bytea CHECK (octet_length(prev_hash) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    position bigint NOT NULL,
    CONSTRAINT custody_transitions_key PRIMARY KEY (artifact_id, seq)
);

CREATE TABLE {schema}.deployment_states (
    artifact_id uuid NOT NULL,
    target text COLLATE "C" NOT NULL,
    desired_cid text COLLATE "C" NOT NULL,
    observed_cid text COLLATE "C",
    health text COLLATE "C" NOT NULL CHECK (health IN ('unknown', 'healthy', 'drifted')),
    health_since timestamptz NOT NULL,
    detail jsonb NOT NULL,
    observed_at timestamptz NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT deployment_states_key PRIMARY KEY (artifact_id, target)
) WITH (fillfactor = 80); -- room on the page for the next observation of a target

CREATE TABLE {schema}.verification_results (
    id uuid NOT NULL,
    artifact_id uuid NOT NULL,
    target text COLLATE "C",
    verifier text NOT NULL,
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('passed', 'failed', 'inconclusive')),
    evidence jsonb NOT NULL,
    verified_at timestamptz NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT verification_results_key PRIMARY KEY (id)
);

CREATE TABLE {schema}.quarantined_entries (
    position bigint NOT NULL,
    event_id uuid NOT NULL,
    stream_id uuid NOT NULL,
    event_type text NOT NULL,
    code text NOT NULL CHECK (code ~ '^CC[0-9][0-9]$'),
    reason text NOT NULL,
    CONSTRAINT quarantined_entries_key PRIMARY KEY (position)
);

ALTER TABLE {schema}.governed_artifacts
    ADD CONSTRAINT governed_artifacts_accord
    FOREIGN KEY (accord_binding_id) REFERENCES {schema}.accord_bindings (id);
ALTER TABLE {schema}.custody_transitions
    ADD CONSTRAINT custody_transitions_artifact
    FOREIGN KEY (artifact_id) REFERENCES {schema}.governed_artifacts (id);
ALTER TABLE {schema}.deployment_states
    ADD CONSTRAINT deployment_states_artifact
    FOREIGN KEY (artifact_id) REFERENCES {schema}.governed_artifacts (id);
ALTER TABLE {schema}.verification_results
    ADD CONSTRAINT verification_results_artifact
    FOREIGN KEY (artifact_id) REFERENCES {schema}.governed_artifacts (id);

CREATE TABLE {schema}.projector_checkpoints (
    projector text COLLATE "C" NOT NULL PRIMARY KEY,
    position bigint NOT NULL CHECK (position >= 0),
    leaf_hash bytea CHECK (octet_length(leaf_hash) = 32),
    origin text,
    updated_at timestamptz NOT NULL,
    -- Counts the rebuilds that were swapped in: what was read of an earlier one is void.
    generation bigint NOT NULL,
    -- Who may write, and until when unless it is renewed; none where nobody does.
    lease_holder uuid,
    lease_until timestamptz,
    -- Counts the times that the lease changed hands.
    fence bigint NOT NULL
);
