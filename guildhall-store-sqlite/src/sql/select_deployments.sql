SELECT
    {deployment_states.*}
FROM deployment_states
