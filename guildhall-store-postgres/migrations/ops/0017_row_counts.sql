-- How many rows there are of each kind, as the fold counts them: what an overview shows without
-- counting.

CREATE TABLE {schema}.row_counts (
    counted text COLLATE "C" NOT NULL,
    rows bigint NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT row_counts_key PRIMARY KEY (counted)
);

-- What stands in the tables already is counted now. `position` is the entry by which one of the rows last
-- came or went; a kind of which there never was one has none, and no row.
INSERT INTO {schema}.row_counts (counted, rows, position)
SELECT counted, rows, position
FROM (
    SELECT 'accords' AS counted, pg_catalog.count(*) AS rows, pg_catalog.max(position) AS position
    FROM {schema}.accord_bindings
    UNION ALL
    SELECT kind.counted, pg_catalog.count(*), pg_catalog.max(registered.position)
    FROM (
        VALUES (0, 'artifacts_of_tier_0'), (1, 'artifacts_of_tier_1'), (2, 'artifacts_of_tier_2'),
            (3, 'artifacts_of_tier_3')
    ) AS kind (tier, counted)
    JOIN {schema}.governed_artifacts AS artifact ON artifact.tier = kind.tier
    JOIN (
        SELECT artifact_id, pg_catalog.min(position) AS position
        FROM {schema}.artifact_revisions GROUP BY artifact_id
    ) AS registered ON registered.artifact_id = artifact.id
    GROUP BY kind.counted
    UNION ALL
    SELECT 'closed_ceremonies', pg_catalog.count(*), pg_catalog.max(position)
    FROM {schema}.custody_transitions WHERE from_state = 'ceremony_open'
    UNION ALL
    SELECT 'custody_transitions', pg_catalog.count(*), pg_catalog.max(position)
    FROM {schema}.custody_transitions
    UNION ALL
    SELECT
        kind.counted,
        (
            SELECT pg_catalog.count(*) FROM {schema}.deployment_states AS target
            WHERE target.health = kind.health
        ),
        (
            SELECT pg_catalog.max(position) FROM {schema}.deployment_changes AS change
            WHERE change.previous_health IS DISTINCT FROM change.health
                AND (change.health = kind.health OR change.previous_health = kind.health)
        )
    FROM (
        VALUES ('drifted', 'drifted_deployments'), ('healthy', 'healthy_deployments'),
            ('unknown', 'unknown_deployments')
    ) AS kind (health, counted)
    UNION ALL
    SELECT
        'open_ceremonies',
        (
            SELECT pg_catalog.count(*) FROM {schema}.governed_artifacts
            WHERE coalesce(custody_state, '') = 'ceremony_open'
        ),
        pg_catalog.max(position)
    FROM {schema}.custody_transitions
    WHERE coalesce(from_state, '') = 'ceremony_open' AND to_state <> 'ceremony_open'
        OR coalesce(from_state, '') <> 'ceremony_open' AND to_state = 'ceremony_open'
    UNION ALL
    SELECT 'quarantined', pg_catalog.count(*), pg_catalog.max(position) FROM {schema}.quarantined_entries
    UNION ALL
    SELECT 'verifications', pg_catalog.count(*), pg_catalog.max(position) FROM {schema}.verification_results
) AS now
WHERE position IS NOT NULL;

COMMENT ON TABLE {schema}.row_counts IS
    'How many rows there are of each kind that an overview shows, kept as they come and go.';
COMMENT ON COLUMN {schema}.row_counts.counted IS 'Which rows.';
COMMENT ON COLUMN {schema}.row_counts.rows IS 'How many.';
COMMENT ON COLUMN {schema}.row_counts.position IS 'The entry by which one of them last came or went.';
