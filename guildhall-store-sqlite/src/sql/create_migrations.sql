-- What has been done to this file's tables, and when.
CREATE TABLE guildhall_migrations (
    family TEXT NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    PRIMARY KEY (family, number)
) STRICT;
