-- What the tables and columns of the Ops DB hold, where psql (\d+) and other tools show it. A rebuild
-- carries it over to the next generation.

COMMENT ON TABLE {schema}.accord_bindings IS
    'The accords: the terms that artifacts are governed under.';
COMMENT ON COLUMN {schema}.accord_bindings.id IS 'The accord; its stream in chronicle_entries.';
COMMENT ON COLUMN {schema}.accord_bindings.name IS 'What people call it.';
COMMENT ON COLUMN {schema}.accord_bindings.accord_terms IS 'Its terms: a JSON object.';
COMMENT ON COLUMN {schema}.accord_bindings.bound_by IS 'Who bound it.';
COMMENT ON COLUMN {schema}.accord_bindings.effective_at IS 'From when its terms hold.';
COMMENT ON COLUMN {schema}.accord_bindings.position IS 'The entry that last wrote the row.';

COMMENT ON TABLE {schema}.governed_artifacts IS
    'The artifacts under governance as they are now, one row each.';
COMMENT ON COLUMN {schema}.governed_artifacts.id IS 'The artifact; its stream in chronicle_entries.';
COMMENT ON COLUMN {schema}.governed_artifacts.accord_binding_id IS 'The accord that governs it.';
COMMENT ON COLUMN {schema}.governed_artifacts.name IS 'What people call it.';
COMMENT ON COLUMN {schema}.governed_artifacts.artifact_type IS
    'What kind of thing it is, such as dns_zone; an open list.';
COMMENT ON COLUMN {schema}.governed_artifacts.tier IS 'How critical it is: 0 (the most) to 3.';
COMMENT ON COLUMN {schema}.governed_artifacts.cid IS 'The content address (CIDv1) of its current content.';
COMMENT ON COLUMN {schema}.governed_artifacts.content IS 'Its current content.';
COMMENT ON COLUMN {schema}.governed_artifacts.content_schema IS
    'The URI of the schema that the content follows.';
COMMENT ON COLUMN {schema}.governed_artifacts.custody_state IS
    'The state that the newest link of its chain moved it to; null before the first.';
COMMENT ON COLUMN {schema}.governed_artifacts.custody_seq IS
    'The number of that link; null before the first.';
COMMENT ON COLUMN {schema}.governed_artifacts.registered_at IS 'When its registration was recorded.';
COMMENT ON COLUMN {schema}.governed_artifacts.revised_at IS
    'When its latest revision was recorded; null where there is none.';
COMMENT ON COLUMN {schema}.governed_artifacts.position IS
    'The entry that last wrote the row: a registration, a revision or a transition.';

COMMENT ON TABLE {schema}.custody_transitions IS
    'The links of the chains of custody. Append-only; each is tied to the one before it by its hash.';
COMMENT ON COLUMN {schema}.custody_transitions.artifact_id IS 'The artifact.';
COMMENT ON COLUMN {schema}.custody_transitions.seq IS 'Where the link stands in the chain: 1, 2, 3 …';
COMMENT ON COLUMN {schema}.custody_transitions.from_state IS 'The state before; null for the first link.';
COMMENT ON COLUMN {schema}.custody_transitions.to_state IS 'The state after.';
COMMENT ON COLUMN {schema}.custody_transitions.cid IS 'The content that was moved.';
COMMENT ON COLUMN {schema}.custody_transitions.actor IS 'Who moved it.';
COMMENT ON COLUMN {schema}.custody_transitions.reason IS 'Why.';
COMMENT ON COLUMN {schema}.custody_transitions.ceremony_id IS
    'The ceremony that the link opens or closes; null outside one.';
COMMENT ON COLUMN {schema}.custody_transitions.evidence IS 'What the actor put forward.';
COMMENT ON COLUMN {schema}.custody_transitions.occurred_at IS 'When it happened.';
COMMENT ON COLUMN {schema}.custody_transitions.prev_hash IS
    'The hash of the link before, 32 bytes; null for the first link.';
COMMENT ON COLUMN {schema}.custody_transitions.hash IS 'SHA-256 over the other fields of the link, 32 bytes.';
COMMENT ON COLUMN {schema}.custody_transitions.position IS 'The entry that wrote the row.';

COMMENT ON TABLE {schema}.deployment_states IS
    'What runs where: the latest observation of each target of an artifact.';
COMMENT ON COLUMN {schema}.deployment_states.artifact_id IS 'The artifact.';
COMMENT ON COLUMN {schema}.deployment_states.target IS 'Where: a cluster, a device group, a name server …';
COMMENT ON COLUMN {schema}.deployment_states.desired_cid IS 'The content that should run there.';
COMMENT ON COLUMN {schema}.deployment_states.observed_cid IS
    'The content that does; null where nothing was seen.';
COMMENT ON COLUMN {schema}.deployment_states.health IS
    'healthy: the two are the same; drifted: they differ; unknown: nothing was seen.';
COMMENT ON COLUMN {schema}.deployment_states.health_since IS
    'When the observation that last changed the health was made.';
COMMENT ON COLUMN {schema}.deployment_states.detail IS 'What else the observer saw.';
COMMENT ON COLUMN {schema}.deployment_states.observed_at IS 'When the target was last observed.';
COMMENT ON COLUMN {schema}.deployment_states.position IS 'The entry that last wrote the row.';

COMMENT ON TABLE {schema}.verification_results IS
    'What verifiers found, one row for each verdict.';
COMMENT ON COLUMN {schema}.verification_results.id IS 'The event id of the entry.';
COMMENT ON COLUMN {schema}.verification_results.artifact_id IS 'The artifact.';
COMMENT ON COLUMN {schema}.verification_results.target IS
    'Where; null where the verdict is about the artifact itself.';
COMMENT ON COLUMN {schema}.verification_results.verifier IS 'Who judged.';
COMMENT ON COLUMN {schema}.verification_results.outcome IS 'passed, failed or inconclusive.';
COMMENT ON COLUMN {schema}.verification_results.evidence IS 'What the outcome rests on.';
COMMENT ON COLUMN {schema}.verification_results.verified_at IS 'When it was judged.';
COMMENT ON COLUMN {schema}.verification_results.position IS 'The entry that wrote the row.';

COMMENT ON TABLE {schema}.quarantined_entries IS
    'The entries that break an invariant. They have no effect on any other table.';
COMMENT ON COLUMN {schema}.quarantined_entries.position IS 'The entry.';
COMMENT ON COLUMN {schema}.quarantined_entries.event_id IS 'Its event id.';
COMMENT ON COLUMN {schema}.quarantined_entries.stream_id IS 'Its stream.';
COMMENT ON COLUMN {schema}.quarantined_entries.event_type IS 'Its type.';
COMMENT ON COLUMN {schema}.quarantined_entries.code IS 'The invariant that it breaks: CC00 to CC12.';
COMMENT ON COLUMN {schema}.quarantined_entries.reason IS 'What was found, and what was expected.';

COMMENT ON TABLE {schema}.projector_checkpoints IS
    'How far each read model has got, and who may write it.';
COMMENT ON COLUMN {schema}.projector_checkpoints.projector IS 'The read model; ops_db is these tables.';
COMMENT ON COLUMN {schema}.projector_checkpoints.position IS
    'The last entry whose effects are in the tables.';
COMMENT ON COLUMN {schema}.projector_checkpoints.leaf_hash IS
    'The leaf hash of that entry, 32 bytes; null at 0.';
COMMENT ON COLUMN {schema}.projector_checkpoints.origin IS
    'The Chronicle that the entries were read from; null at 0.';
COMMENT ON COLUMN {schema}.projector_checkpoints.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN {schema}.projector_checkpoints.generation IS 'How many rebuilds have been swapped in.';
COMMENT ON COLUMN {schema}.projector_checkpoints.lease_holder IS
    'The projector that may write; null where there is none.';
COMMENT ON COLUMN {schema}.projector_checkpoints.lease_until IS
    'Until when it may, unless it renews the lease.';
COMMENT ON COLUMN {schema}.projector_checkpoints.fence IS 'How many times the lease has changed hands.';

COMMENT ON VIEW {schema}.artifact_drift IS
    'Every artifact with its drift: whether what runs is what was decided, over all its targets.';
COMMENT ON COLUMN {schema}.artifact_drift.id IS 'The artifact.';
COMMENT ON COLUMN {schema}.artifact_drift.accord_binding_id IS 'The accord that governs it.';
COMMENT ON COLUMN {schema}.artifact_drift.name IS 'What people call it.';
COMMENT ON COLUMN {schema}.artifact_drift.artifact_type IS 'What kind of thing it is.';
COMMENT ON COLUMN {schema}.artifact_drift.tier IS 'How critical it is: 0 (the most) to 3.';
COMMENT ON COLUMN {schema}.artifact_drift.cid IS 'The content address of its current content.';
COMMENT ON COLUMN {schema}.artifact_drift.custody_state IS
    'Where it stands in its chain of custody; null before the first link.';
COMMENT ON COLUMN {schema}.artifact_drift.drift IS
    'drifted where a target is; else unknown where nothing was seen on one; else healthy; undeployed where it has no target.';
COMMENT ON COLUMN {schema}.artifact_drift.drift_since IS
    'Since when: the earliest of the targets that make it drifted or unknown, the latest of those that make it healthy; null where it is undeployed.';
COMMENT ON COLUMN {schema}.artifact_drift.position IS 'The entry that last wrote the artifact.';
