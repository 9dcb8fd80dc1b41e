//! How often each network calls the CA.

use std::{collections::HashMap, net::IpAddr};

use crate::unix_time::UnixTime;

/// Connections of each network within the present minute.
pub(crate) struct Callers {
    max: u32,
    minute: u64,
    counts: HashMap<Network, u32>,
}

impl Callers {
    pub(crate) fn new(max: u32) -> Self {
        Self { max, minute: 0, counts: HashMap::new() }
    }

    /// Counts a call; `false` if the caller's network is over its limit for this minute.
    pub(crate) fn admit(&mut self, now: UnixTime, ip: IpAddr) -> bool {
        let minute = now.as_secs() / 60;
        if minute != self.minute {
            self.minute = minute;
            self.counts.clear();
        }
        let network = network(ip);
        if self.counts.len() >= CALLERS_MAX && !self.counts.contains_key(&network) {
            return false;
        }
        let count = self.counts.entry(network).or_default();
        *count = count.saturating_add(1);
        *count <= self.max
    }
}

/// An IPv4 address, or the first 64 bits of an IPv6 address: all that a caller does not choose.
type Network = [u8; 9];

fn network(ip: IpAddr) -> Network {
    let mut network = [0; 9];
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            network[0] = 4;
            network[1..5].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            network[0] = 6;
            network[1..].copy_from_slice(&ip.octets()[..8]);
        }
    }
    network
}

/// Networks that are counted in one minute; further ones wait for the next.
const CALLERS_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_count_together_and_anew_each_minute() {
        let mut callers = Callers::new(2);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let now = UnixTime::from_secs(600);
        assert!(callers.admit(now, ip("2001:db8::1")));
        assert!(callers.admit(now, ip("2001:db8::2")));
        assert!(!callers.admit(now, ip("2001:db8::3")));
        assert!(callers.admit(now, ip("2001:db8:0:1::1")));
        assert!(callers.admit(now, ip("192.0.2.1")));
        assert!(callers.admit(UnixTime::from_secs(660), ip("2001:db8::3")));
    }
}
