//! Guildhall's console: the state of governance as pages that stay up to date, and as JSON.
#![deny(missing_docs)]
