//! Step 4 of a packet's way: from an engine's outbox, and from reports, into send slots.

use std::net::SocketAddr;
use std::time::Duration;

use super::orders::{bitrate_of, demote_if_quiet};
use super::{KeepAlive, MEDIA_TIMEOUT, REPORT_TURNS, Shard, ShardCounters, ShardEvent, reports};
use crate::codec::samples_duration;
use crate::drop_reason::DropReason;
use crate::engine::{Engine, EngineInput};
use crate::leg::LegId;
use crate::outbox::Body;
use crate::quality::{CodecQuality, MosCounts, PacketLoss};
use crate::reception::ReceptionReport;
use crate::red::PathReport;
use crate::rtcp::{REPORT_INTERVAL, REPORT_INTERVAL_MAX};
use crate::rtp::RtpHeader;
use crate::rtp::header::PADDING_BIT;
use crate::shard::leg::Leg;
use crate::srtp::ProtectError;
use crate::time::Instant;
use crate::transmit::Transmit;

impl<E: Engine> Shard<E> {
    /// Sends what is due of what engines queued.
    pub(super) fn drain(&mut self, now: Instant, transmit: &mut impl Transmit) {
        let Self { outbox, legs, counters, .. } = self;
        outbox.drain(now, |id, header, body, queue| {
            legs.prefetch(queue.leg_ahead(LEG_AHEAD), queue.leg_ahead(STREAMS_AHEAD));
            // A packet that was deferred may outlive its leg, which then has no address either.
            let addressed = legs.leg_mut(id).and_then(|leg| leg.address.map(|to| (leg, to)));
            let Some((leg, to)) = addressed else {
                counters.drops.count(DropReason::NoAddress);
                return;
            };
            send_packet(leg, now, header, &body, to, counters, transmit);
        });
    }

    /// Sends their compound to the legs whose turn it is, as far as it is due.
    pub(super) fn send_reports(&mut self, now: Instant, turn: usize, transmit: &mut impl Transmit) {
        let mut legs = std::mem::take(&mut self.reported);
        legs.clear();
        legs.extend(self.legs.stride(turn, REPORT_TURNS));
        for id in &legs {
            if self.take_turn(now, *id) {
                self.send_report(now, *id, transmit);
            }
        }
        self.reported = legs;
    }

    /// Returns whether a leg whose turn it is has something to be told, or may be gone; its next
    /// report is then due later.
    fn take_turn(&mut self, now: Instant, id: LegId) -> bool {
        let (interval, drawn) = (self.report_interval(), self.random.next() as u16);
        let Some(leg) = self.legs.leg_mut(id) else { return false };
        let order = leg.orders.under(self.uplink);
        let is_due = leg.pace.due(leg.reception.since_report()) <= now + REPORT_INTERVAL / 2
            || leg.orders.told != Some(order)
            || leg.orders.bitrate_told != bitrate_of(leg, self.bitrate)
            || leg.orders.promoted_at.is_some()
            || now.saturating_since(leg.heard_at) > MEDIA_TIMEOUT;
        if is_due {
            leg.pace.handle_report(now, leg.reception.since_report(), interval, drawn);
        }
        is_due
    }

    /// Returns how often reports go to and fro on legs that lose nothing, at most; it grows with
    /// the number of legs (RFC 3550 section 6.2).
    fn report_interval(&self) -> Duration {
        let legs = u32::try_from(self.legs.len()).unwrap_or(u32::MAX);
        let interval = LEG_INTERVAL.saturating_mul(legs);
        interval.clamp(REPORT_INTERVAL, REPORT_INTERVAL_MAX)
    }

    /// Sends a leg its compound, unless its member was not heard for too long or never.
    pub(super) fn send_report(&mut self, now: Instant, id: LegId, transmit: &mut impl Transmit) {
        let report_interval = self.report_interval();
        let Self { legs, conferences, counters, events, uplink, bitrate, .. } = self;
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
            let (leg, report) = (leg.key, PathReport::default());
            conference.engine.handle_input(now, EngineInput::Reception { leg, report });
        }
        let Some(to) = leg.address else { return };
        let (epoch, order) = (conference.epoch, leg.orders.under(*uplink));
        transmit.transmit(to, |slot| {
            let report = leg.make_report();
            let said = KeepAlive {
                epoch,
                uplink: order,
                own_voice: leg.own_voice,
                bitrate: bitrate_of(leg, *bitrate),
                report_interval,
            };
            let written =
                reports::write_compound(leg, now, said, report.as_ref(), slot).unwrap_or(0);
            if written == 0 {
                return 0;
            }
            rate(leg, report.as_ref(), &mut counters.ratings.inbound);
            match leg.sender.protect_rtcp(slot, written) {
                Ok(sealed) => {
                    counters.count_report(leg, said);
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

impl ShardCounters {
    /// Counts a compound that was sealed, and what it tells a member for the first time.
    fn count_report(&mut self, leg: &mut Leg, said: KeepAlive) {
        self.reports_out += 1;
        let told = leg.orders.told.replace(said.uplink);
        self.orders_out += u64::from(told != Some(said.uplink));
        let bitrate_told = std::mem::replace(&mut leg.orders.bitrate_told, said.bitrate);
        self.bitrate_orders_out += u64::from(bitrate_told != said.bitrate);
    }
}

/// Rates what was received of a member.
fn rate(leg: &Leg, report: Option<&ReceptionReport>, inbound: &mut MosCounts) {
    let Some(report) = report else { return };
    let loss = PacketLoss::reported(report.fraction_lost);
    let jitter = samples_duration(report.jitter);
    inbound.rate(CodecQuality::OPUS, report.expected, loss, jitter, leg.remote.round_trip);
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
        let end = fixed + body.bytes.len();
        slot[fixed..end].copy_from_slice(body.bytes);
        let length = end + write_padding(body.padding, end, slot);
        match leg.sender.protect_rtp(slot, length) {
            Ok(sealed) => {
                leg.count_sent(now, &header, body.bytes.len());
                counters.packets_out += 1;
                counters.octets_out += sealed as u64;
                counters.padding_octets += u64::from(body.padding);
                sealed
            }
            Err(error) => {
                counters.drops.count(reason_of(error));
                0
            }
        }
    });
}

/// Writes so many octets of padding at `end`, the last of which is their number, and the bit that
/// tells of them; returns the number. Source: RFC 3550 section 5.1.
fn write_padding(padding: u8, end: usize, slot: &mut [u8]) -> usize {
    let count = usize::from(padding);
    if count > 0 {
        slot[0] |= PADDING_BIT;
        slot[end..end + count - 1].fill(0);
        slot[end + count - 1] = padding;
    }
    count
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

/// By how much each leg lengthens the interval of reports: from 400 legs on it grows, and at 800 it
/// is the longest. Chosen: up to 80 reports a second and way cost nothing that could be seen.
const LEG_INTERVAL: Duration = Duration::from_micros(12_500);

/// By how many packets a leg's state and then, once that can be read, its further streams are asked
/// for before they are needed: a packet takes 0.5 µs or more to seal, memory as long to answer.
const LEG_AHEAD: usize = 4;
const STREAMS_AHEAD: usize = 2;
