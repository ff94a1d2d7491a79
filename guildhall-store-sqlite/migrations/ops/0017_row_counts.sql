-- How many rows there are of each kind, as the fold counts them: what an overview shows without
-- counting. Numbered as on PostgreSQL.

CREATE TABLE row_counts (
    counted TEXT NOT NULL,
    rows INTEGER NOT NULL,
    position INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX row_counts_key ON row_counts (counted);

-- What stands in the tables already is counted now. `position` is the entry by which one of the rows last
-- came or went; a kind of which there never was one has none, and no row.
INSERT INTO row_counts (counted, rows, position)
SELECT counted, rows, position
FROM (
    SELECT 'accords' AS counted, count(*) AS rows, max(position) AS position FROM accord_bindings
    UNION ALL
    SELECT 'artifacts_of_tier_' || tier, count(*), max(registered.position)
    FROM governed_artifacts AS artifact
    JOIN (
        SELECT artifact_id, min(position) AS position FROM artifact_revisions GROUP BY artifact_id
    ) AS registered ON registered.artifact_id = artifact.id
    GROUP BY tier
    UNION ALL
    SELECT 'closed_ceremonies', count(*), max(position)
    FROM custody_transitions WHERE from_state = 'ceremony_open'
    UNION ALL
    SELECT 'custody_transitions', count(*), max(position) FROM custody_transitions
    UNION ALL
    SELECT
        health || '_deployments',
        (SELECT count(*) FROM deployment_states AS target WHERE target.health = kind.health),
        (
            SELECT max(position) FROM deployment_changes AS change
            WHERE change.previous_health IS NOT change.health
                AND (change.health = kind.health OR change.previous_health = kind.health)
        )
    FROM (SELECT 'drifted' AS health UNION ALL SELECT 'healthy' UNION ALL SELECT 'unknown') AS kind
    UNION ALL
    SELECT
        'open_ceremonies',
        (SELECT count(*) FROM governed_artifacts WHERE coalesce(custody_state, '') = 'ceremony_open'),
        max(position)
    FROM custody_transitions
    WHERE (from_state IS 'ceremony_open') <> (to_state = 'ceremony_open')
    UNION ALL
    SELECT 'quarantined', count(*), max(position) FROM quarantined_entries
    UNION ALL
    SELECT 'verifications', count(*), max(position) FROM verification_results
)
WHERE position IS NOT NULL;
