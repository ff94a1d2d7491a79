-- Returns whether there is such a seal, and whether this is the first cosignature of its key.
-- $1: size
-- $2: key_name
-- $3: line
WITH seal AS (
    SELECT size FROM {schema}.chronicle_seals WHERE size = $1
), inserted AS (
    INSERT INTO {schema}.chronicle_cosignatures (size, key_name, line)
    SELECT size, $2, $3 FROM seal
    ON CONFLICT (size, key_name) DO NOTHING
    RETURNING 1
)
SELECT EXISTS (SELECT 1 FROM seal), EXISTS (SELECT 1 FROM inserted)
