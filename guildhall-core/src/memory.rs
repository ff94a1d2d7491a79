//! In-memory stores, for an embedder's own tests.
