-- The tables that the peers fill: the columns of the Ops DB and its keys. They lack what slows
-- Guildhall down and the peers' users may do without: every other index, foreign keys, checks,
-- triggers, and the position of the entry, which postgres-es does not know.
CREATE SCHEMA read_model;

CREATE TABLE read_model.accord_bindings (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    accord_terms jsonb NOT NULL,
    bound_by text NOT NULL,
    effective_at timestamptz NOT NULL
);

CREATE TABLE read_model.governed_artifacts (
    id uuid PRIMARY KEY,
    accord_binding_id uuid NOT NULL,
    name text NOT NULL,
    artifact_type text NOT NULL,
    tier smallint NOT NULL,
    cid text NOT NULL,
    content jsonb NOT NULL,
    content_schema text NOT NULL,
    custody_state text,
    custody_seq bigint,
    registered_at timestamptz NOT NULL,
    revised_at timestamptz
);

CREATE TABLE read_model.custody_transitions (
    artifact_id uuid NOT NULL,
    seq bigint NOT NULL,
    from_state text,
    to_state text NOT NULL,
    cid text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    ceremony_id uuid,
    evidence jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    prev_hash bytea,
    hash bytea NOT NULL,
    PRIMARY KEY (artifact_id, seq)
);

CREATE TABLE read_model.deployment_states (
    artifact_id uuid NOT NULL,
    target text NOT NULL,
    desired_cid text NOT NULL,
    observed_cid text,
    health text NOT NULL,
    health_since timestamptz NOT NULL,
    detail jsonb NOT NULL,
    observed_at timestamptz NOT NULL,
    PRIMARY KEY (artifact_id, target)
);

CREATE TABLE read_model.verification_results (
    id uuid PRIMARY KEY,
    artifact_id uuid NOT NULL,
    target text,
    verifier text NOT NULL,
    outcome text NOT NULL,
    evidence jsonb NOT NULL,
    verified_at timestamptz NOT NULL
);
