//! JSONL import and export.
