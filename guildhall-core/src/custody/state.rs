//! The states of a custody chain.

use crate::words::words;

words!(
    /// Where an artifact stands in its custody chain.
    CustodyState, "custody state" {
        /// Written, and nobody has decided about it.
        Drafted = "drafted",
        /// A ceremony is deciding.
        CeremonyOpen = "ceremony_open",
        /// A ceremony passed it.
        Ratified = "ratified",
        /// A ceremony did not pass it.
        Rejected = "rejected",
        /// It may run.
        Deployed = "deployed",
        /// It must not run for now.
        Suspended = "suspended",
        /// It is over; nothing follows.
        Retired = "retired",
    }
);
