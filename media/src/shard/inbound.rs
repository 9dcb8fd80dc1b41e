//! Step 2 of a packet's way: from a datagram to the leg's engine.

use super::{Events, KeepAlive, RemoteReception, Shard, ShardEvent};
use crate::codec::samples_duration;
use crate::drop_reason::DropReason;
use crate::engine::{Engine, EngineInput, IncomingPacket};
use crate::extension::ClientLevel;
use crate::leg::LegId;
use crate::quality::{CodecQuality, PacketLoss};
use crate::red::REPORTED_MIN;
use crate::rtcp::{RtcpPacket, RtcpPackets};
use crate::rtp::{PacketKind, RtpPacket, classify, sender_ssrc};
use crate::shard::leg::Leg;
use crate::srtp::PacketIndex;
use crate::time::Instant;
use crate::transmit::{Datagram, Transmit};

impl<E: Engine> Shard<E> {
    /// Takes a datagram from the network.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        transmit: &mut impl Transmit,
    ) {
        self.counters.packets_in += 1;
        self.counters.octets_in += datagram.bytes.len() as u64;
        let outcome = match classify(datagram.bytes) {
            PacketKind::Rtp => self.handle_rtp(now, datagram, transmit),
            PacketKind::Rtcp => self.handle_rtcp(now, datagram, transmit),
            PacketKind::Neither => Err(DropReason::NotRtp),
        };
        if let Err(reason) = outcome {
            self.counters.drops.count(reason);
        }
    }

    fn handle_rtp(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        transmit: &mut impl Transmit,
    ) -> Result<(), DropReason> {
        let Datagram { from, received_at, bytes } = datagram;
        let ssrc = sender_ssrc(bytes).ok_or(DropReason::TooShort)?;
        let leg = self.legs.by_send_ssrc(ssrc).ok_or(DropReason::UnknownSsrc)?;
        let plain = leg.receiver.unprotect_rtp(bytes)?;
        let is_newest = leg.receiver.newest_index(ssrc) == Some(plain.index);
        let has_moved = is_newest && leg.follow(now, from);
        let id = leg.id;
        if has_moved {
            self.answer_new_address(now, id, transmit);
        }
        self.pass_to_engine(now, id, plain.index, received_at, &bytes[..plain.length], transmit)
    }

    fn pass_to_engine(
        &mut self,
        now: Instant,
        id: LegId,
        index: PacketIndex,
        received_at: Instant,
        plain: &[u8],
        transmit: &mut impl Transmit,
    ) -> Result<(), DropReason> {
        let leg = self.legs.leg_mut(id).ok_or(DropReason::UnknownSsrc)?;
        let packet = RtpPacket::parse(plain)?;
        leg.reception.count(index.0, packet.timestamp(), received_at);
        let level = ClientLevel::read(&packet)?;
        let incoming = IncomingPacket {
            index: index.0,
            timestamp: packet.timestamp(),
            marker: packet.marker(),
            payload_type: packet.payload_type(),
            level,
            received_at,
            payload: packet.payload(),
        };
        self.counters.probes_in += u64::from(incoming.payload.is_empty());
        let (leg_key, key) = (leg.key, leg.conference);
        let conference = self.conferences.get_mut(key).ok_or(DropReason::UnknownSsrc)?;
        let (resources, outbox) = (&mut self.resources, &mut self.outbox);
        let outcome = conference.engine.handle_rtp(now, leg_key, &incoming, resources, outbox);
        if !self.outbox.is_empty() {
            self.drain(now, transmit);
        }
        self.reschedule(key);
        self.hear_level(now, id, level.level, outcome, transmit);
        outcome
    }

    fn handle_rtcp(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        transmit: &mut impl Transmit,
    ) -> Result<(), DropReason> {
        let Datagram { from, received_at, bytes } = datagram;
        let ssrc = sender_ssrc(bytes).ok_or(DropReason::TooShort)?;
        let leg = self.legs.by_send_ssrc(ssrc).ok_or(DropReason::UnknownSsrc)?;
        let plain = leg.receiver.unprotect_rtcp(bytes)?;
        let is_newest = leg.receiver.newest_rtcp_index(ssrc) == Some(plain.index);
        let has_moved = is_newest && leg.follow(now, from);
        let (id, own_voice) = (leg.id, leg.own_voice);
        let heard = RtcpPackets::parse(&bytes[..plain.length]).map(|packets| {
            self.counters.reports_in += 1;
            hear_compound(leg, packets, received_at, &mut self.events)
        });
        let wish = Some(leg.own_voice).filter(|wish| *wish != own_voice);
        if has_moved {
            self.answer_new_address(now, id, transmit);
        }
        if let Some(own_voice) = wish {
            self.handle_input(now, id, |leg| EngineInput::SetOwnVoice { leg, own_voice });
            self.send_report(now, id, transmit);
        }
        if let Some(reception) = heard? {
            self.counters.receptions.count(&reception);
            let outbound = &mut self.counters.ratings.outbound;
            let loss = PacketLoss::reported(reception.fraction_lost);
            let (expected, jitter) =
                (reception.expected.into(), samples_duration(reception.jitter));
            outbound.rate(CodecQuality::OPUS_MIXED, expected, loss, jitter, reception.round_trip);
            if reception.expected >= REPORTED_MIN {
                let report = reception.path();
                self.handle_input(now, id, |leg| EngineInput::Reception { leg, report });
            }
        }
        Ok(())
    }

    /// Tells the member at once that its new path works both ways.
    fn answer_new_address(&mut self, now: Instant, id: LegId, transmit: &mut impl Transmit) {
        self.counters.address_changes += 1;
        self.send_report(now, id, transmit);
    }
}

/// Takes a compound in; returns what the member reports of the streams that it is sent.
fn hear_compound(
    leg: &mut Leg,
    packets: RtcpPackets<'_>,
    received_at: Instant,
    events: &mut Events,
) -> Option<RemoteReception> {
    let mut reception = None;
    for packet in packets {
        match packet {
            RtcpPacket::SenderReport(report) => {
                leg.last_sr = Some((report.info.ntp.compact(), received_at));
                reception = leg.hear_blocks(report.blocks, received_at).or(reception);
            }
            RtcpPacket::ReceiverReport(report) => {
                reception = leg.hear_blocks(report.blocks, received_at).or(reception);
            }
            RtcpPacket::Goodbye(goodbye) => {
                let is_own = goodbye.sources().any(|source| source == leg.send_ssrc);
                if is_own && !leg.said_goodbye {
                    leg.said_goodbye = events.push(ShardEvent::Goodbye(leg.id));
                }
            }
            RtcpPacket::Application(packet) => {
                let said = KeepAlive::from_application(&packet);
                leg.own_voice = said.map_or(leg.own_voice, |said| said.own_voice);
            }
            RtcpPacket::ExtendedReport(report) => leg.hear_losses(&report),
            RtcpPacket::SourceDescription(_) => {}
        }
    }
    // What the extended report adds may come behind it.
    reception.map(|_| leg.remote)
}
