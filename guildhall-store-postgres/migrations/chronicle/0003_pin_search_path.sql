-- Nobody can put a function or an operator of his own in the place of one that these triggers rely on.

ALTER FUNCTION {schema}.chronicle_refuse() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION {schema}.chronicle_entries_appended() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION {schema}.chronicle_head_moved() SET search_path = pg_catalog, pg_temp;
