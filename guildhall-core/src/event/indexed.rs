//! What the log says of itself: the index of its streams, as of a size (DESIGN section 9).

use serde::{Deserialize, Serialize};

use crate::cid::TreeHash;
use crate::ids::Position;
use crate::json::Json;

/// The Chronicle's streams were indexed, so that a seal after it can prove that an artifact's
/// history is whole. It is about no artifact and changes no table: a projector skips it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChronicleIndexed {
    /// The root of the tree over the index.
    pub index_root: TreeHash,
    /// How many streams there are in it.
    pub streams: u64,
    /// Up to which entry it goes: it holds what streams the first so many entries have.
    pub tree_size: Position,
}

impl ChronicleIndexed {
    /// The full type name.
    pub const TYPE: &str = "dev.guildhouse.chronicle.chronicle.indexed.v1";

    /// The canonical JSON of its fields: the payload of its entry.
    pub fn to_payload(&self) -> Json {
        // A hash and two numbers serialise, in canonical form as they stand.
        Json::unchecked(serde_json::to_string(self).unwrap_or_default())
    }
}
