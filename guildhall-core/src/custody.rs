//! The custody chain: its states, its policy and the hash of a link (DESIGN section 4).

pub mod chain;
mod link;
mod policy;
mod state;

pub use self::link::{ChainHead, Move, link, link_hash};
pub use self::policy::{CustodyPolicy, Rule};
pub use self::state::CustodyState;
