-- Nobody can put a function or an operator of his own in the place of one that these rely on, and a
-- backslash in them is one, whatever the session takes it for.

ALTER FUNCTION {schema}.custody_transitions_refuse() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION {schema}.extend_verification_months(integer) SET standard_conforming_strings = on;
ALTER FUNCTION {schema}.retire_verification_month() SET standard_conforming_strings = on;
