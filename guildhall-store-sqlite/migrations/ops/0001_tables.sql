-- The tables, bare: every key and index that can be made afterwards is in the next migration, so
-- that a rebuild can fill copies of these tables first. Ordinary rowid tables, which took inserts
-- more than twice as fast as WITHOUT ROWID ones.

CREATE TABLE accord_bindings (
    id BLOB NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL,
    accord_terms TEXT NOT NULL CHECK (json_valid(accord_terms)),
    bound_by TEXT NOT NULL,
    effective_at TEXT NOT NULL CHECK (length(effective_at) = 27),
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE governed_artifacts (
    id BLOB NOT NULL CHECK (length(id) = 16),
    accord_binding_id BLOB NOT NULL REFERENCES accord_bindings (id),
    name TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    tier INTEGER NOT NULL CHECK (tier BETWEEN 0 AND 3),
    cid TEXT NOT NULL,
    content TEXT NOT NULL CHECK (json_valid(content)),
    content_schema TEXT NOT NULL,
    custody_state TEXT CHECK (
        custody_state = 'drafted' OR custody_state = 'ceremony_open'
        OR custody_state = 'ratified' OR custody_state = 'rejected'
        OR custody_state = 'deployed' OR custody_state = 'suspended'
        OR custody_state = 'retired'),
    custody_seq INTEGER CHECK ((custody_seq IS NULL) = (custody_state IS NULL)),
    registered_at TEXT NOT NULL CHECK (length(registered_at) = 27),
    revised_at TEXT CHECK (length(revised_at) = 27),
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE custody_transitions (
    artifact_id BLOB NOT NULL REFERENCES governed_artifacts (id),
    seq INTEGER NOT NULL CHECK (seq >= 1),
    from_state TEXT CHECK (
        from_state = 'drafted' OR from_state = 'ceremony_open'
        OR from_state = 'ratified' OR from_state = 'rejected' OR from_state = 'deployed'
        OR from_state = 'suspended' OR from_state = 'retired'),
    to_state TEXT NOT NULL CHECK (
        to_state = 'drafted' OR to_state = 'ceremony_open' OR to_state = 'ratified'
        OR to_state = 'rejected' OR to_state = 'deployed' OR to_state = 'suspended'
        OR to_state = 'retired'),
    cid TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    ceremony_id BLOB CHECK (length(ceremony_id) = 16),
    evidence TEXT NOT NULL CHECK (json_valid(evidence)),
    occurred_at TEXT NOT NULL CHECK (length(occurred_at) = 27),
    prev_hash BLOB CHECK (length(prev_hash) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE deployment_states (
    artifact_id BLOB NOT NULL REFERENCES governed_artifacts (id),
    target TEXT NOT NULL,
    desired_cid TEXT NOT NULL,
    observed_cid TEXT,
    health TEXT NOT NULL CHECK (health = 'unknown' OR health = 'healthy' OR health = 'drifted'),
    health_since TEXT NOT NULL CHECK (length(health_since) = 27),
    detail TEXT NOT NULL CHECK (json_valid(detail)),
    observed_at TEXT NOT NULL CHECK (length(observed_at) = 27),
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE verification_results (
    id BLOB NOT NULL CHECK (length(id) = 16),
    artifact_id BLOB NOT NULL REFERENCES governed_artifacts (id),
    target TEXT,
    verifier TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome = 'passed' OR outcome = 'failed' OR outcome = 'inconclusive'),
    evidence TEXT NOT NULL CHECK (json_valid(evidence)),
    verified_at TEXT NOT NULL CHECK (length(verified_at) = 27),
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE quarantined_entries (
    position INTEGER PRIMARY KEY,
    event_id BLOB NOT NULL CHECK (length(event_id) = 16),
    stream_id BLOB NOT NULL CHECK (length(stream_id) = 16),
    event_type TEXT NOT NULL,
    code TEXT NOT NULL CHECK (code GLOB 'CC[0-9][0-9]'),
    reason TEXT NOT NULL
) STRICT;

CREATE TABLE projector_checkpoints (
    projector TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL CHECK (position >= 0),
    leaf_hash BLOB CHECK (length(leaf_hash) = 32),
    origin TEXT,
    updated_at TEXT NOT NULL CHECK (length(updated_at) = 27),
    -- Counts the rebuilds that were swapped in: what was read of an earlier one is void.
    generation INTEGER NOT NULL DEFAULT 0,
    -- Who may write, and until when unless it is renewed; none where nobody does.
    lease_holder BLOB CHECK (length(lease_holder) = 16),
    lease_until TEXT CHECK (length(lease_until) = 27),
    -- Counts the times that the lease changed hands.
    fence INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The rebuild under way, if any: whoever does not find its own token here was thrown away.
CREATE TABLE unfinished_rebuild (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    token BLOB NOT NULL CHECK (length(token) = 16)
) STRICT;
