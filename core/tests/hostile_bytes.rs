//! No bytes from the network make a decoder panic.

#![allow(clippy::unwrap_used)]

mod common;

use common::samples::samples;
use proptest::prelude::*;
use sabha_core::{
    Fingerprint, NodeId,
    ca::message::{CaAnswer, CaRequest},
    certificate::{MixerMark, PeerCertificate},
    message::{Answer, ConferenceId, Event, JoinLink, Message, Request},
};

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        decode_all(&bytes);
    }

    #[test]
    fn damaged_messages_never_panic(
        which in 0usize..30,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let samples = samples();
        let mut bytes = samples[which % samples.len()].clone();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        decode_all(&bytes);
    }

    #[test]
    fn join_links_round_trip(
        conference in any::<[u8; 32]>(),
        host in any::<[u8; 32]>(),
        root in any::<[u8; 32]>(),
        addresses in proptest::collection::vec(any::<std::net::SocketAddr>(), 0..4),
    ) {
        let addresses = addresses
            .into_iter()
            .map(|address| std::net::SocketAddr::new(address.ip(), address.port()))
            .collect();
        let (conference, host) = (ConferenceId(conference), NodeId(host));
        let link = JoinLink { conference, host, root: Fingerprint(root), addresses };
        prop_assert_eq!(link.to_string().parse::<JoinLink>(), Ok(link));
    }
}

fn decode_all(bytes: &[u8]) {
    let _ = Request::decode(bytes);
    let _ = Answer::decode(bytes);
    let _ = Event::decode(bytes);
    let _ = CaRequest::decode(bytes);
    let _ = CaAnswer::decode(bytes);
    let _ = PeerCertificate::parse(bytes);
    let _ = MixerMark::from_der(bytes);
    let _ = String::from_utf8_lossy(bytes).parse::<JoinLink>();
}
