//! What a shard wants of its members' microphones and encoders, and who is excepted.
//!
//! Control sets one order for all members of a shard. Under `Probes` a member whose level says
//! that it speaks is promoted: it is ordered to send voice, at once, and loses this when it was
//! not loud for a while. Who of the promoted is heard is the engine's business.

use std::time::Duration;

use super::conferences::{Conference, Promoted};
use super::leg::Leg;
use super::table::LegTable;
use super::{BitrateOrder, Shard, ShardCounters, UplinkOrder};
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::extension::LevelDbov;
use crate::leg::LegId;
use crate::time::Instant;
use crate::transmit::Transmit;

/// A leg's part in the orders.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LegOrders {
    /// The order that the member was told last.
    pub(super) told: Option<UplinkOrder>,
    /// The bitrate that it was told last; until it was told any, its own.
    pub(super) bitrate_told: BitrateOrder,
    /// Since when the leg is promoted.
    pub(super) promoted_at: Option<Instant>,
    /// When it was loud last.
    pub(super) loud_at: Option<Instant>,
    /// Whether the engine lets it be heard.
    pub(super) is_talking: bool,
}

impl LegOrders {
    /// Returns the leg's own order under that of the shard.
    pub(super) fn under(&self, order: UplinkOrder) -> UplinkOrder {
        match order {
            UplinkOrder::Probes if self.promoted_at.is_some() => UplinkOrder::Voice,
            _ => order,
        }
    }

    /// Tells whether a promoted leg has not been loud for so long that it loses its promotion.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        self.loud_at.is_none_or(|loud_at| now.saturating_since(loud_at) > PROMOTION_HOLD)
    }

    /// Tells whether a promoted leg must make way for another: it is quiet, or had its time and
    /// the engine hears others.
    fn makes_way(&self, now: Instant) -> bool {
        let trial = self.promoted_at.map_or(Duration::MAX, |at| now.saturating_since(at));
        self.is_quiet(now) || !self.is_talking && trial > PROMOTION_TRIAL
    }
}

impl<E: Engine> Shard<E> {
    /// Sets what is wanted of all members' microphones.
    ///
    /// Every member whose address is known is told within a second of the next `handle_timeout`,
    /// which is due at once. On a change to `Probes` those who are heard are promoted first.
    pub fn set_uplink_order(&mut self, order: UplinkOrder) {
        if order == self.uplink {
            return;
        }
        self.uplink = order;
        self.timers.hasten_reports();
        if order == UplinkOrder::Probes {
            for conference in self.conferences.iter_mut() {
                promote_talkers(conference, &mut self.legs, &mut self.counters);
            }
        }
    }

    /// Returns what is wanted of members' microphones.
    pub fn uplink_order(&self) -> UplinkOrder {
        self.uplink
    }

    /// Sets the most that members may send with; who loses much is ordered less still.
    ///
    /// Every member is told with the next report that it is due, within five seconds.
    pub fn set_bitrate_order(&mut self, order: BitrateOrder) {
        self.bitrate = order;
    }

    /// Takes note of how loud a member says it is; `outcome` is what the engine made of it.
    pub(super) fn hear_level(
        &mut self,
        now: Instant,
        id: LegId,
        level: LevelDbov,
        outcome: Result<(), DropReason>,
        transmit: &mut impl Transmit,
    ) {
        let may_talk = !matches!(outcome, Err(DropReason::Muted | DropReason::WrongRole));
        if !may_talk || PROMOTION_LEVEL.is_louder_than(level) {
            return;
        }
        let Some(leg) = self.legs.leg_mut(id) else { return };
        leg.orders.loud_at = Some(now);
        if self.uplink == UplinkOrder::Probes && leg.orders.promoted_at.is_none() {
            self.promote(now, id, transmit);
        }
    }

    /// Promotes a leg, in the place of another if need be, and tells both.
    fn promote(&mut self, now: Instant, id: LegId, transmit: &mut impl Transmit) {
        let Self { legs, conferences, counters, .. } = self;
        let Some(key) = legs.leg(id).map(|leg| leg.conference) else { return };
        let Some(conference) = conferences.get_mut(key) else { return };
        let mut replaced = None;
        if !conference.promoted.add(id.index) {
            let Some(slot) = who_makes_way(now, conference, legs) else {
                counters.promotions_refused += 1;
                return;
            };
            conference.promoted.remove(slot);
            conference.promoted.add(id.index);
            replaced = legs.at_mut(slot).map(|leg| {
                leg.orders.promoted_at = None;
                counters.demotions += 1;
                leg.id
            });
        }
        if let Some(leg) = legs.leg_mut(id) {
            leg.orders.promoted_at = Some(now);
            counters.promotions += 1;
        }
        self.send_report(now, id, transmit);
        if let Some(replaced) = replaced {
            self.send_report(now, replaced, transmit);
        }
    }
}

/// Returns what a leg's member is to send with where all may send with `order`.
pub(super) fn bitrate_of(leg: &Leg, order: BitrateOrder) -> BitrateOrder {
    leg.bitrate.map_or(order, |choice| choice.order().min(order))
}

/// Ends a leg's promotion if it was not loud for `PROMOTION_HOLD`.
pub(super) fn demote_if_quiet<E>(
    now: Instant,
    leg: &mut Leg,
    conference: &mut Conference<E>,
    counters: &mut ShardCounters,
) {
    if leg.orders.promoted_at.is_some() && leg.orders.is_quiet(now) {
        leg.orders.promoted_at = None;
        conference.promoted.remove(leg.id.index);
        counters.demotions += 1;
    }
}

/// Forgets earlier promotions and promotes those who are heard.
fn promote_talkers<E>(
    conference: &mut Conference<E>,
    legs: &mut LegTable,
    counters: &mut ShardCounters,
) {
    conference.promoted = Promoted::default();
    for slot in &conference.legs {
        let Some(leg) = legs.at_mut(*slot) else { continue };
        leg.orders.promoted_at = None;
        if leg.orders.is_talking && conference.promoted.add(*slot) {
            leg.orders.promoted_at = leg.orders.loud_at.or(Some(leg.heard_at));
            counters.promotions += 1;
        }
    }
}

/// Finds a promoted leg whose place another may take.
fn who_makes_way<E>(now: Instant, conference: &Conference<E>, legs: &LegTable) -> Option<u16> {
    let makes_way = |slot: &&u16| legs.at(**slot).is_none_or(|leg| leg.orders.makes_way(now));
    conference.promoted.slots().iter().find(makes_way).copied()
}

/// Under `Probes`, a member at least this loud is promoted: the level that opens a squelch.
///
/// Speech at a normal distance is -20 to -35 dBov, a quiet room below -60.
pub const PROMOTION_LEVEL: LevelDbov = LevelDbov(50);

/// A promoted member keeps its promotion for so long after it was loud. Chosen: longer than any
/// pause within a speech. It ends when the member's next report is due.
pub const PROMOTION_HOLD: Duration = Duration::from_secs(5);

/// A promoted member that is not heard after so long may have to make way for another. Chosen:
/// long enough for the order to arrive twice and for a squelch to open.
const PROMOTION_TRIAL: Duration = Duration::from_secs(2);
