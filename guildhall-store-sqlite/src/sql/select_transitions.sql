SELECT
    {custody_transitions.*}
FROM custody_transitions
