//! What only a store's author needs: every decision that stores share, without any I/O.
//!
//! A store keeps connections, transactions and its own SQL. What it writes, and whether it may, it
//! asks of these:
//!
//! - [`AppendState`] says what an append means; [`Seen`] notices a log that is no longer the one that was
//!   read, [`LeafRecord`] and [`BadRow`] what its rows hold;
//! - [`Applier`] takes a projector through a batch, [`Filler`] a rebuild through all of them;
//! - [`CheckpointRow`] and [`LeaseState`] say who may write, and when a rebuilt generation may take
//!   the live one's place;
//! - [`Row`] has each table's columns once, for whatever reads and writes them, [`read_artifact_head`] and
//!   [`read_target_head`] those of heads, [`read_change`] and its neighbours those of questions about the past;
//! - [`Family`] and [`Migration`] name the steps that make the tables.
//!
//! A third store begins at [`AppendState`] and [`Applier`].

mod append;
mod apply;
mod entries;
mod family;
mod heads;
mod lease;
mod past;
mod rebuild;
mod rows;
mod seen;
mod settings;
mod step;
mod versions;

pub use crate::chronicle::LeafRecord;
pub use crate::ops::{Column, Kind};
pub use append::{Admitted, AppendState, Recorded};
pub use apply::{Applier, Gathered, HeldBack, News, Projecting, Standby, Turn};
pub use entries::BadRow;
pub use family::{Family, Migration};
pub use heads::{CHAIN_HEAD, TARGET_HEAD, read_artifact_head, read_target_head};
pub use lease::{CheckpointRow, LeaseState};
pub use past::{
    links_of_timeline, read_change, read_content, read_drift_span, read_posture, read_posture_moves,
};
pub use rebuild::{Deployments, Filler, Filling, Held};
pub use rows::{ColumnReader, ColumnWriter, Misread, Row, Value};
pub use seen::{Mark, Seen};
pub use settings::ProjectorSettings;
pub use step::{Folded, Loading};
pub use versions::Versions;
