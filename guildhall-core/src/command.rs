//! Checked commands.
