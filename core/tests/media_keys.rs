//! Media keys: the same at both ends, different for everything else.

#![allow(clippy::unwrap_used)]

mod common;

use common::{TestCa, pair};
use sabha_core::{
    Direction, MediaKeyContext,
    message::{ConferenceId, Epoch},
};
use sabha_media::srtp::SrtpSuite;

#[tokio::test]
async fn media_keys_agree_and_every_field_matters() {
    let ca = TestCa::new();
    let (member, node) = (ca.device("alice"), ca.mixer("node"));
    let (session, accepted, _client) = pair(&member, &node).await;
    let base = MediaKeyContext {
        conference: ConferenceId([1; 32]),
        epoch: Epoch { counter: 1, rank: 0 },
        leg_generation: 1,
        direction: Direction::ToNode,
        member_fingerprint: session.local_fingerprint(),
        node_fingerprint: session.peer().fingerprint,
        suite: SrtpSuite::AeadAes128Gcm,
    };
    let contexts = [
        base,
        MediaKeyContext { conference: ConferenceId([2; 32]), ..base },
        MediaKeyContext { epoch: Epoch { counter: 2, rank: 0 }, ..base },
        MediaKeyContext { epoch: Epoch { counter: 1, rank: 1 }, ..base },
        MediaKeyContext { leg_generation: 2, ..base },
        MediaKeyContext { direction: Direction::ToMember, ..base },
        MediaKeyContext { member_fingerprint: base.node_fingerprint, ..base },
        MediaKeyContext { node_fingerprint: base.member_fingerprint, ..base },
    ];
    let label = b"EXPORTER-sabha-media-1";
    let mut keys = Vec::new();
    for context in contexts {
        let here = session.export(label, &context.hash(), 28).unwrap();
        assert_eq!(here, accepted.export(label, &context.hash(), 28).unwrap());
        keys.push(here.to_vec());
        sabha_core::media_key(&accepted, &context).unwrap();
    }
    let (other, _accepted, _client) = pair(&member, &node).await;
    keys.push(other.export(label, &base.hash(), 28).unwrap().to_vec());
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count, "each context and each session has its own key");
}
