//! A shard whose engine does nothing but forward: what is left is what every packet costs.

use sabha_media::drop_reason::DropReason;
use sabha_media::engine::{
    AddLegError, Engine, EngineInput, EngineOutput, IncomingPacket, LegConfig, LegKey,
};
use sabha_media::extension::LevelDbov;
use sabha_media::outbox::{Outbox, OutboxLimits};
use sabha_media::rtp::RtpHeader;
use sabha_media::shard::{Shard, ShardConfig};
use sabha_media::time::Instant;

use crate::member::{EPOCH, Member, START, Sealed, Slot};

/// A shard with one sender and some receivers; `prepare`, then `forward`, by turns.
pub struct Relay {
    shard: Shard<Forward>,
    sender: Member,
    sealed: Option<Sealed>,
    slot: Slot,
    packets: u64,
}

impl Relay {
    /// Makes a shard of so many receivers, each with an address; none makes every packet end at
    /// the engine.
    ///
    /// # Panics
    /// If the shard refuses so many members.
    pub fn new(receivers: usize) -> Self {
        let limits =
            OutboxLimits { bodies_max: 8, packets_max: receivers + 1, deferred_bodies_max: 1 };
        let config = ShardConfig {
            index: 0,
            legs_max: receivers + 1,
            conferences_max: 1,
            outbox: limits,
            seed: 7,
            tap: None,
        };
        let mut shard = Shard::new(config, ());
        let conference =
            shard.add_conference(Forward::default(), EPOCH).expect("room for one conference");
        let sender = Member::join(&mut shard, conference, 0);
        let mut slot = Slot::new();
        for index in 1..=receivers {
            let mut sealed = Member::join(&mut shard, conference, index).keep_alive(0);
            shard.handle_datagram(START, sealed.received(START), &mut slot);
        }
        Self { shard, sender, sealed: None, slot, packets: 0 }
    }

    /// Seals the next packet: 100 octets of payload.
    pub fn prepare(&mut self) {
        self.packets += 1;
        self.sealed = Some(self.sender.packet(self.packets, LevelDbov(20), &[0x5a; 100]));
    }

    /// Takes the packet in and writes it out once for each receiver. Returns the datagrams
    /// written so far.
    ///
    /// # Panics
    /// If nothing was prepared.
    pub fn forward(&mut self) -> u64 {
        let sealed = self.sealed.as_mut().expect("prepared before");
        self.shard.handle_datagram(START, sealed.received(START), &mut self.slot);
        self.slot.datagrams
    }
}

/// Forwards each packet to all other legs.
#[derive(Default)]
struct Forward {
    legs: Vec<LegConfig>,
    packets: u16,
}

impl Engine for Forward {
    type Resources = ();

    fn receive_streams(&self) -> usize {
        1
    }

    fn add_leg(&mut self, _: Instant, leg: LegConfig) -> Result<LegKey, AddLegError> {
        self.legs.push(leg);
        Ok(LegKey(u32::try_from(self.legs.len() - 1).expect("few legs")))
    }

    fn remove_leg(&mut self, _: Instant, _: LegKey, (): &mut ()) {}

    fn handle_rtp(
        &mut self,
        now: Instant,
        from: LegKey,
        packet: &IncomingPacket<'_>,
        (): &mut (),
        outbox: &mut Outbox,
    ) -> Result<(), DropReason> {
        let body = outbox.store(&[], &[], packet.payload).ok_or(DropReason::Full)?;
        for (index, leg) in self.legs.iter().enumerate() {
            if index == from.0 as usize {
                continue;
            }
            let stream = leg.receive[0];
            let header = RtpHeader {
                marker: packet.marker,
                payload_type: packet.payload_type,
                sequence_number: stream.first_sequence_number.wrapping_add(self.packets),
                timestamp: packet.timestamp.wrapping_add(stream.timestamp_offset),
                ssrc: stream.ssrc,
            };
            outbox.send(leg.id, header, body, now);
        }
        self.packets = self.packets.wrapping_add(1);
        Ok(())
    }

    fn handle_input(&mut self, _: Instant, _: EngineInput) {}

    fn handle_timeout(&mut self, _: Instant, (): &mut (), _: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_output(&mut self) -> Option<EngineOutput> {
        None
    }
}
