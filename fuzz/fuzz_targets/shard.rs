//! Arbitrary datagrams into a shard with a mixed conference.
//!
//! Whoever holds no key is not heard: nothing is sent, no address is learned, no engine is told,
//! nobody is promoted, and each datagram is counted under one reason.

#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sabha_media::codec::opus::Opus;
use sabha_media::leg::LegRole;
use sabha_media::outbox::OutboxLimits;
use sabha_media::shard::{LegRequest, MediaEpoch, Shard, ShardConfig, ShardEvent, UplinkOrder};
use sabha_media::srtp::{MasterKey, SrtpSuite};
use sabha_media::time::Instant;
use sabha_media::transmit::{Datagram, Transmit};
use sabha_mixer::{Mixer, MixerResources, MixerSettings, ResourceLimits};

fuzz_target!(|input: &[u8]| {
    let outbox = OutboxLimits { bodies_max: 4, packets_max: 16, deferred_bodies_max: 2 };
    let config =
        ShardConfig { index: 0, legs_max: 4, conferences_max: 2, outbox, seed: 1, tap: None };
    let limits = ResourceLimits { talkers_max: 4, encoders_max: 4, kept_max: 16 };
    let mut shard = Shard::new(config, MixerResources::new(Opus, limits));
    let mixer = Mixer::new(MixerSettings::default()).expect("the default settings are valid");
    let key = shard.add_conference(mixer, MediaEpoch::default()).expect("the first conference");
    let legs = [1, 2].map(|person| {
        let request = LegRequest {
            role: LegRole::Member,
            receive_key: master(person),
            send_key: master(person | 0x80),
            red: true,
        };
        shard.add_leg(START, key, &request).expect("room for two legs")
    });

    let (mut rest, mut now, mut count) = (input, START, 0);
    while let [high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]) % 1_500);
        let (datagram, behind) = behind.split_at(behind.len().min(length));
        rest = behind;
        // As it is, and with an SSRC that gets past the first look, as RTP and as RTCP.
        for offset in [None, Some(8), Some(4)] {
            let mut bytes = datagram.to_vec();
            if let Some(place) = offset.and_then(|at| bytes.get_mut(at..at + 4)) {
                place.copy_from_slice(&legs[count % 2].send_ssrc.0.to_be_bytes());
            }
            let from = SocketAddr::from(([10, 0, 0, 1], 4_000));
            let datagram = Datagram { from, received_at: now, bytes: &mut bytes };
            shard.handle_datagram(now, datagram, &mut Nothing);
            count += 1;
        }
        let orders = [UplinkOrder::Probes, UplinkOrder::Voice, UplinkOrder::Everything];
        shard.set_uplink_order(orders[count / 3 % 3]);
        now += Duration::from_millis(20);
        shard.handle_timeout(now, &mut Nothing);
    }
    while let Some(at) = shard.poll_timeout().filter(|at| *at < now + Duration::from_secs(6)) {
        shard.handle_timeout(at, &mut Nothing);
    }
    let counters = shard.counters();
    assert_eq!((counters.packets_in, counters.drops.total()), (count as u64, count as u64));
    assert_eq!((counters.address_changes, counters.reports_in, counters.reports_out), (0, 0, 0));
    assert_eq!((counters.probes_in, counters.promotions, counters.talkers), (0, 0, 0));
    for leg in &legs {
        let report = shard.leg_report(leg.id).expect("still there");
        assert_eq!((report.packets_in, report.packets_out), (0, 0));
    }
    while let Some(event) = shard.poll_event() {
        assert!(matches!(event, ShardEvent::MediaLost(_)), "{event:?}");
    }
});

struct Nothing;

impl Transmit for Nothing {
    fn transmit(&mut self, to: SocketAddr, _write: impl FnOnce(&mut [u8]) -> usize) {
        panic!("sent to {to}, who holds no key");
    }
}

fn master(octet: u8) -> MasterKey {
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &[octet; 28]).expect("28 octets")
}

const START: Instant = Instant::from_millis(1_000_000);
