//! How Guildhall's crates serve HTTP and call others, so that each limit and each choice about TLS is
//! made once: the console and a witness are served by [`server`] (feature `server`), a witness and a
//! webhook's receiver are called by [`client`] (feature `client`).
//!
//! It knows nothing of Guildhall.

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
mod impatient;
#[cfg(feature = "server")]
pub mod server;
