//! A member of a conference on a shard, with real keys, and a network that forgets.

use std::net::SocketAddr;

use sabha_media::engine::Engine;
use sabha_media::extension::LevelDbov;
use sabha_media::leg::{LegRole, Ssrc};
use sabha_media::rtcp::{CompactNtp, CompoundWriter, ExtendedSequence, ReportBlock};
use sabha_media::shard::{ConferenceKey, KeepAlive, LegRequest, MediaEpoch, Shard, keep_alive};
use sabha_media::srtp::{MasterKey, SrtpSender, SrtpSuite};
use sabha_media::time::Instant;
use sabha_media::transmit::{DATAGRAM_SIZE_MAX, Datagram, Transmit};

use crate::packet::write_packet;

/// Sends what a member sends, sealed with its keys.
pub(crate) struct Member {
    ssrc: Ssrc,
    /// The streams that it is sent.
    received: Vec<Ssrc>,
    address: SocketAddr,
    sender: SrtpSender,
}

impl Member {
    /// Joins as the member `index` of those on the shard.
    pub(crate) fn join<E: Engine>(
        shard: &mut Shard<E>,
        conference: ConferenceKey,
        index: usize,
    ) -> Self {
        let request = LegRequest {
            role: LegRole::Member,
            receive_key: key(index, 0),
            send_key: key(index, 1),
            red: true,
        };
        let grant = shard.add_leg(START, conference, &request).expect("room for every member");
        let sender = SrtpSender::new(&key(index, 0), &[grant.send_ssrc]).expect("one stream");
        let port = u16::try_from(index + 1).expect("fewer members than ports");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { ssrc: grant.send_ssrc, received: grant.receive_ssrcs, address, sender }
    }

    /// Seals the `nth` packet of its stream.
    pub(crate) fn packet(&mut self, nth: u64, level: LevelDbov, payload: &[u8]) -> Sealed {
        let mut bytes = [0; DATAGRAM_SIZE_MAX];
        let length = write_packet(&mut bytes, self.ssrc, nth, level, payload);
        let length = self.sender.protect_rtp(&mut bytes, length).expect("room for a tag");
        Sealed { from: self.address, bytes, length }
    }

    /// Seals a keep-alive, from which a shard learns the member's address, and that of so many
    /// packets of each stream none was lost; of none it says nothing.
    pub(crate) fn keep_alive(&mut self, packets: u64) -> Sealed {
        let mut bytes = [0; DATAGRAM_SIZE_MAX];
        let said = KeepAlive::from(EPOCH).to_bytes();
        let clean = |ssrc: &Ssrc| ReportBlock {
            ssrc: *ssrc,
            fraction_lost: 0,
            cumulative_lost: 0,
            highest_sequence: ExtendedSequence(packets as u32),
            jitter: 0,
            last_sr: CompactNtp::default(),
            delay_since_last_sr: CompactNtp::default(),
        };
        let blocks: Vec<_> = self.received.iter().filter(|_| packets > 0).map(clean).collect();
        let mut writer = CompoundWriter::new(&mut bytes);
        let written = writer
            .receiver_report(self.ssrc, &blocks)
            .and_then(|_| writer.cname(self.ssrc, b"member"))
            .and_then(|_| writer.application(&keep_alive(self.ssrc, &said)));
        written.expect("a keep-alive is far shorter than a datagram");
        let length = writer.finish();
        let length = self.sender.protect_rtcp(&mut bytes, length).expect("room for a tag");
        Sealed { from: self.address, bytes, length }
    }
}

/// A datagram on its way to a shard.
pub(crate) struct Sealed {
    from: SocketAddr,
    bytes: [u8; DATAGRAM_SIZE_MAX],
    length: usize,
}

impl Sealed {
    /// Shows it as the kernel would; decrypted in place, so it is good for one time.
    pub(crate) fn received(&mut self, received_at: Instant) -> Datagram<'_> {
        let bytes = &mut self.bytes[..self.length];
        Datagram { from: self.from, received_at, bytes }
    }
}

/// Stands for the kernel: the shard writes here, and that was it.
pub(crate) struct Slot {
    bytes: [u8; DATAGRAM_SIZE_MAX],
    /// Datagrams written so far.
    pub(crate) datagrams: u64,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; DATAGRAM_SIZE_MAX], datagrams: 0 }
    }
}

impl Transmit for Slot {
    fn transmit(&mut self, _to: SocketAddr, write: impl FnOnce(&mut [u8]) -> usize) {
        self.datagrams += u64::from(write(&mut self.bytes) > 0);
    }
}

fn key(index: usize, direction: u8) -> MasterKey {
    let suite = SrtpSuite::AeadAes128Gcm;
    let mut material = vec![direction; suite.keying_material_len()];
    material[..8].copy_from_slice(&index.to_le_bytes());
    MasterKey::new(suite, &material).expect("the suite's own length")
}

/// The epoch of every conference here.
pub(crate) const EPOCH: MediaEpoch = MediaEpoch { counter: 1, rank: 0 };

/// When virtual time begins.
pub(crate) const START: Instant = Instant::from_millis(1_000_000);
