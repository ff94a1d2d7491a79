SELECT {accord_bindings.*}
FROM accord_bindings
