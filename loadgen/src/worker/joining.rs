//! Members' way into their conferences: a ticket from the host, a session and a leg at the node.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use sabha_client::member::{Device, JoinError, Leg, NodeSession};
use sabha_core::message::JoinLink;
use sabha_core::signalling::{ClientCredentials, EndpointError, SignallingEndpoint};
use sabha_core::{Clock, Identity};
use sabha_media::leg::LegRole;

/// Sockets for signalling, shared by many members each.
pub struct Endpoints {
    endpoints: Vec<SignallingEndpoint>,
    clock: Clock,
}

/// What became of the attempts to join.
#[derive(Default)]
pub struct JoinCounts {
    /// Members in their conferences now.
    pub joined: AtomicU64,
    /// Members that will not be.
    pub not_joined: AtomicU64,
    texts: Mutex<Texts>,
}

/// Counts by text.
#[derive(Clone, Default)]
pub struct Texts {
    /// Refusals by host or node.
    pub refusals: BTreeMap<String, u64>,
    /// Failures of another kind.
    pub failures: BTreeMap<String, u64>,
    /// Sessions that ended early.
    pub lost: BTreeMap<String, u64>,
}

impl Endpoints {
    /// Opens sockets for so many members.
    ///
    /// # Errors
    /// `EndpointError` if the system gives none.
    pub fn open(members: usize) -> Result<Self, EndpointError> {
        let count = members.div_ceil(SESSIONS_PER_ENDPOINT).max(1);
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let endpoints: Result<_, _> = (0..count).map(|_| SignallingEndpoint::client(any)).collect();
        Ok(Self { endpoints: endpoints?, clock: Clock::system() })
    }

    /// Takes a member from its identity to its leg, as a client does.
    ///
    /// # Errors
    /// `JoinError`; a refusal carries the words of who refused.
    pub async fn join(
        &self,
        member: usize,
        identity: &Identity,
        link: &JoinLink,
    ) -> Result<(NodeSession, Leg), JoinError> {
        let endpoint = self.endpoints[member % self.endpoints.len()].clone();
        let credentials = ClientCredentials::new(&self.clock, identity)
            .map_err(|_| JoinError::Answer("TLS does not take this identity"))?;
        let device = Device::new(endpoint, credentials, identity.clone(), self.clock.clone());
        let ticket = device.register(link, LegRole::Member).await?;
        let session = device.connect(ticket).await?;
        let leg = session.join(LegRole::Member).await?;
        Ok((session, leg))
    }

    /// Says goodbye for all, and waits a little until it is said.
    pub async fn close(&self) {
        for endpoint in &self.endpoints {
            endpoint.close("the run is over");
        }
        let said = async {
            for endpoint in &self.endpoints {
                endpoint.wait_idle().await;
            }
        };
        // Whoever does not hear it notices by the silence.
        let _ = tokio::time::timeout(GOODBYE_MAX, said).await;
    }
}

impl JoinCounts {
    /// Notes why a member did not join.
    pub fn fail(&self, error: &JoinError) {
        self.not_joined.fetch_add(1, Ordering::Relaxed);
        let mut texts = self.lock();
        let text = without_numbers(&error.to_string());
        let counts = match error {
            JoinError::HostRefused(_) | JoinError::NodeRefused(_) => &mut texts.refusals,
            _ => &mut texts.failures,
        };
        *counts.entry(text).or_default() += 1;
    }

    /// Notes that the machine let a member down that the node had let in.
    pub fn fail_here(&self, text: &str) {
        self.not_joined.fetch_add(1, Ordering::Relaxed);
        *self.lock().failures.entry(without_numbers(text)).or_default() += 1;
    }

    /// Notes that a member's session ended before the run did.
    pub fn lose(&self, why: &str) {
        self.joined.fetch_sub(1, Ordering::Relaxed);
        *self.lock().lost.entry(without_numbers(why)).or_default() += 1;
    }

    /// Returns the texts so far.
    pub fn texts(&self) -> Texts {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another attempt may go better.
pub fn may_retry(error: &JoinError) -> bool {
    matches!(error, JoinError::Link(_))
}

/// Puts `#` for each number and each name of a device, so that the same text counts as the same.
fn without_numbers(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let is_name = word.len() >= NAME_LEN_MIN && word.chars().all(|c| !c.is_whitespace());
        if is_name && word.chars().filter(char::is_ascii_digit).count() >= 4 {
            return "#".to_owned();
        }
        let mut out = String::new();
        for c in word.chars() {
            let digit = c.is_ascii_digit();
            if !digit {
                out.push(c);
            } else if !out.ends_with('#') {
                out.push('#');
            }
        }
        out
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Sessions on one socket; chosen so that its buffer holds a packet or two of each.
const SESSIONS_PER_ENDPOINT: usize = 250;

/// How long the goodbyes may take.
const GOODBYE_MAX: std::time::Duration = std::time::Duration::from_secs(3);

/// Words this long with digits in them name devices or addresses.
const NAME_LEN_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_differ_in_numbers_only_count_together() {
        let said =
            "this node is at its limit (busy 91.5 % of the time); leg 0.17.2 of 0a1b2c3d4e5f6789a";
        let wanted = "this node is at its limit (busy #.# % of the time); leg #.#.# of #";
        assert_eq!(without_numbers(said), wanted);
    }

    #[test]
    fn refusals_and_failures_are_counted_apart() {
        let counts = JoinCounts::default();
        counts.fail(&JoinError::NoAddress);
        counts.fail(&JoinError::NoAddress);
        assert_eq!(counts.texts().failures.values().sum::<u64>(), 2);
        assert!(counts.texts().refusals.is_empty());
        assert_eq!(counts.not_joined.load(Ordering::Relaxed), 2);
    }
}
