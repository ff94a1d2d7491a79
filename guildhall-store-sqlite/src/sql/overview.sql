SELECT
    (SELECT count(*) FROM accord_bindings),
    (SELECT count(*) FROM deployment_states WHERE health = 'drifted'),
    (SELECT count(*) FROM deployment_states WHERE health = 'unknown'),
    (SELECT count(*) FROM deployment_states),
    (SELECT count(*) FROM custody_transitions),
    (SELECT count(*) FROM verification_results),
    (SELECT count(*) FROM quarantined_entries)
