SELECT id, name, accord_terms, bound_by, effective_at, position
FROM accord_bindings
