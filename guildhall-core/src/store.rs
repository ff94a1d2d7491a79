//! What only a store's author needs: every decision that stores share, without any I/O.
//!
//! A store keeps connections, transactions and its own SQL. What it writes, and whether it may, it
//! asks of these:
//!
//! - [`Applier`] takes a projector through a batch, [`Filler`] a rebuild through all of them;
//! - [`CheckpointRow`] and [`LeaseState`] say who may write, and when a rebuilt generation may take
//!   the live one's place;
//! - [`Row`] has each table's columns once, for whatever reads and writes them;
//! - [`Family`] and [`Migration`] name the steps that make the tables.
//!
//! A third store begins at [`Applier`].

mod apply;
mod family;
mod lease;
mod rebuild;
mod rows;

pub use crate::ops::{Column, Kind};
pub use apply::{Applier, Folded, Loading, News, Projecting, ProjectorSettings, Standby, Turn};
pub use family::{Family, Migration};
pub use lease::{CheckpointRow, LeaseState};
pub use rebuild::{Deployments, Filler, Filling, Held};
pub use rows::{ColumnReader, ColumnWriter, Misread, Row, Value};
