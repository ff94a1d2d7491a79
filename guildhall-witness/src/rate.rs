//! How many requests one address may send: a bucket of tokens each, which fills evenly.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

/// How many addresses are kept in mind at most.
const MAX_PEERS: usize = 10_000;

/// How many seconds' worth of requests an address that was silent may send at once.
const BURST_SECONDS: f64 = 10.0;

/// The buckets of all addresses.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: f64,
    buckets: HashMap<IpAddr, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.into(), buckets: HashMap::new() }
    }

    /// Whether this address may send one more; it is counted then.
    pub(crate) fn admit(&mut self, peer: IpAddr, now: Instant) -> bool {
        let most = self.per_second * BURST_SECONDS;
        let filled = |bucket: &Bucket| {
            let seconds = now.saturating_duration_since(bucket.at).as_secs_f64();
            seconds.mul_add(self.per_second, bucket.tokens).min(most)
        };
        let peer = network_of(peer);
        if self.buckets.len() >= MAX_PEERS && !self.buckets.contains_key(&peer) {
            // Who may send as much as a stranger need not be kept in mind.
            self.buckets.retain(|_, bucket| filled(bucket) < most);
            if self.buckets.len() >= MAX_PEERS {
                return false;
            }
        }
        let tokens = self.buckets.get(&peer).map_or(most, filled);
        let is_admitted = tokens >= 1.0;
        let tokens = if is_admitted { tokens - 1.0 } else { tokens };
        self.buckets.insert(peer, Bucket { tokens, at: now });
        is_admitted
    }
}

/// What one sender has at least: an address of version 4, a /64 network of version 6.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_admitted_and_then_what_flows() {
        let (mut rates, start) = (Rates::new(2), Instant::now());
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        let mut sent = |peer, at| (0..100).filter(|_| rates.admit(peer, at)).count();
        assert_eq!(sent(peer, start), 20);
        assert_eq!(sent(peer, start + Duration::from_secs(3)), 6);
        assert_eq!(sent("192.0.2.2".parse().unwrap(), start), 20);
        assert_eq!(sent(peer, start + Duration::from_secs(1000)), 20);
        // One network of version 6 is one sender, and a mapped address the one that it maps.
        assert_eq!(sent("2001:db8::1".parse().unwrap(), start), 20);
        assert_eq!(sent("2001:db8::2".parse().unwrap(), start), 0);
        assert_eq!(sent("2001:db8:0:1::1".parse().unwrap(), start), 20);
        assert_eq!(sent("::ffff:192.0.2.2".parse().unwrap(), start), 0);
    }

    #[test]
    fn what_is_kept_in_mind_is_bounded() {
        let (mut rates, start) = (Rates::new(1), Instant::now());
        let peer = |n: u32| IpAddr::V4(n.into());
        let most = u32::try_from(MAX_PEERS).unwrap();
        assert!((0..most).all(|n| rates.admit(peer(n), start)));
        assert!(!rates.admit(peer(most), start));
        assert!(rates.admit(peer(0), start), "who is known goes on");
        let later = start + Duration::from_secs(60);
        assert!(rates.admit(peer(most), later));
        assert_eq!(rates.buckets.len(), 1);
    }
}
