-- How many artifacts each tier has, at ?1: those of now without those that came later.
SELECT tier, sum(artifacts)
FROM (
    SELECT tier, count(*) AS artifacts FROM governed_artifacts GROUP BY tier
    UNION ALL
    SELECT artifact.tier, -count(*)
    FROM (
        SELECT artifact_id FROM artifact_revisions WHERE revision = 1 AND {after artifact_revisions}
    ) AS later
    CROSS JOIN governed_artifacts AS artifact ON artifact.id = later.artifact_id
    GROUP BY artifact.tier
)
GROUP BY tier
