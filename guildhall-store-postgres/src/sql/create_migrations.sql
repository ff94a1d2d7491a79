-- What has been done to this schema's tables, and when.
CREATE TABLE {schema}.guildhall_migrations (
    family text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (family, number)
)
