//! Where a console is shown, as an argument says it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::str::FromStr;

use anyhow::{Context as _, Result};

/// An address and a port: `127.0.0.1:7177`, `[::1]:7177`, `localhost:7177`, or `:7177`, which is
/// this machine's own too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(SocketAddr);

impl Address {
    /// The address for a socket.
    pub fn socket(self) -> SocketAddr {
        self.0
    }

    /// Whether it cannot be reached from other machines.
    pub fn is_loopback(self) -> bool {
        self.0.ip().is_loopback()
    }

    /// Fails if the address is not this machine's, or is in use. It is released again: this is for
    /// reporting that before anything has been done.
    ///
    /// # Errors
    /// The operating system's.
    pub fn check_is_free(self) -> Result<()> {
        TcpListener::bind(self.0).map(drop).with_context(|| format!("binding {self}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "write ADDRESS:PORT, such as 127.0.0.1:7177, localhost:7177 or :7177";
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        match text.rsplit_once(':') {
            Some(("" | "localhost", port)) => {
                let port = port.parse().map_err(|_| EXPECTED)?;
                Ok(Self((Ipv4Addr::LOCALHOST, port).into()))
            }
            _ => Err(EXPECTED),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_ways_to_write_an_address() {
        for (text, expected) in [
            ("127.0.0.1:7177", "127.0.0.1:7177"),
            ("localhost:7177", "127.0.0.1:7177"),
            (":0", "127.0.0.1:0"),
            ("[::1]:80", "[::1]:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), expected);
        }
        for text in
            ["", ":", "7177", "localhost", "localhost:", ":70000", "example.com:80", "::1:80x"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_in_use_is_not_free() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address(taken.local_addr().unwrap());
        assert!(address.check_is_free().is_err());
        drop(taken);
        address.check_is_free().unwrap();
    }
}
