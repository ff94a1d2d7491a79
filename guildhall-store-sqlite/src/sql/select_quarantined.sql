SELECT {quarantined_entries.*}
FROM quarantined_entries
