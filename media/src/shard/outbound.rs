//! Step 4 of a packet's way: from an engine's outbox, and from reports, into send slots.

use std::net::SocketAddr;

use super::orders::demote_if_quiet;
use super::{KeepAlive, MEDIA_TIMEOUT, REPORT_TURNS, Shard, ShardCounters, ShardEvent, reports};
use crate::drop_reason::DropReason;
use crate::engine::{Engine, EngineInput};
use crate::leg::LegId;
use crate::outbox::Body;
use crate::rtp::RtpHeader;
use crate::shard::leg::Leg;
use crate::srtp::ProtectError;
use crate::time::Instant;
use crate::transmit::Transmit;

impl<E: Engine> Shard<E> {
    /// Sends what is due of what engines queued.
    pub(super) fn drain(&mut self, now: Instant, transmit: &mut impl Transmit) {
        let Self { outbox, legs, counters, .. } = self;
        outbox.drain(now, |id, header, body| {
            // A packet that was deferred may outlive its leg, which then has no address either.
            let addressed = legs.leg_mut(id).and_then(|leg| leg.address.map(|to| (leg, to)));
            let Some((leg, to)) = addressed else {
                counters.drops.count(DropReason::NoAddress);
                return;
            };
            send_packet(leg, now, header, &body, to, counters, transmit);
        });
    }

    /// Sends their compound to the legs whose turn it is.
    pub(super) fn send_reports(&mut self, now: Instant, turn: usize, transmit: &mut impl Transmit) {
        let mut legs = std::mem::take(&mut self.reported);
        legs.clear();
        legs.extend(self.legs.stride(turn, REPORT_TURNS));
        for id in &legs {
            self.send_report(now, *id, transmit);
        }
        self.reported = legs;
    }

    /// Sends a leg its compound, unless its member was not heard for too long or never.
    pub(super) fn send_report(&mut self, now: Instant, id: LegId, transmit: &mut impl Transmit) {
        let Self { legs, conferences, counters, events, uplink, .. } = self;
        let Some(leg) = legs.leg_mut(id) else { return };
        if now.saturating_since(leg.heard_at) > MEDIA_TIMEOUT {
            leg.address = None;
            if !leg.is_lost {
                leg.is_lost = events.push(ShardEvent::MediaLost(id));
            }
            return;
        }
        let Some(conference) = conferences.get_mut(leg.conference) else { return };
        demote_if_quiet(now, leg, conference, counters);
        if leg.is_unreported() {
            let (leg, loss, burst_loss) = (leg.key, 0.0, Some(0.0));
            conference.engine.handle_input(now, EngineInput::Reception { leg, loss, burst_loss });
        }
        let Some(to) = leg.address else { return };
        let order = leg.orders.under(*uplink);
        let said = KeepAlive { epoch: conference.epoch, uplink: order, own_voice: leg.own_voice };
        transmit.transmit(to, |slot| {
            let written = {
                let inbound = &mut counters.ratings.inbound;
                reports::write_compound(leg, now, said, inbound, slot).unwrap_or(0)
            };
            if written == 0 {
                return 0;
            }
            match leg.sender.protect_rtcp(slot, written) {
                Ok(sealed) => {
                    counters.reports_out += 1;
                    counters.orders_out += u64::from(leg.orders.told.replace(order) != Some(order));
                    sealed
                }
                Err(error) => {
                    counters.drops.count(reason_of(error));
                    0
                }
            }
        });
    }
}

fn send_packet(
    leg: &mut Leg,
    now: Instant,
    header: RtpHeader,
    body: &Body<'_>,
    to: SocketAddr,
    counters: &mut ShardCounters,
    transmit: &mut impl Transmit,
) {
    transmit.transmit(to, |slot| {
        let fixed = header.write_fixed(body.csrc_count, body.has_extension, slot);
        let length = fixed + body.bytes.len();
        slot[fixed..length].copy_from_slice(body.bytes);
        match leg.sender.protect_rtp(slot, length) {
            Ok(sealed) => {
                leg.count_sent(now, &header, body.bytes.len());
                counters.packets_out += 1;
                counters.octets_out += sealed as u64;
                sealed
            }
            Err(error) => {
                counters.drops.count(reason_of(error));
                0
            }
        }
    });
}

fn reason_of(error: ProtectError) -> DropReason {
    match error {
        ProtectError::Malformed(_) => DropReason::MalformedRtp,
        ProtectError::NoRoom { .. } => DropReason::Full,
        ProtectError::UnknownSsrc(_) => DropReason::UnknownSsrc,
        ProtectError::NotAhead { .. } => DropReason::Discontinuous,
        ProtectError::IndexExhausted(_) => DropReason::IndexExhausted,
    }
}
