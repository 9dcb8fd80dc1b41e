//! The rungs of the ladder: what the node gives up as its load grows, and what each saves.

use sabha_mixer::{Effort, ListenerPacket, ListenerPacketSetting};

/// What a node may give up when its load grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RungSettings {
    /// The complexity of encodes while there is time for everything.
    pub complexity_max: u8,
    /// The least complexity; the same as the most keeps it fixed.
    pub complexity_min: u8,
    /// If fixed, packets are as long as it says, whatever the load.
    pub packet: ListenerPacketSetting,
}

/// Efforts in the order in which they are resorted to: first cheaper encodes, which nobody hears
/// as later, then longer packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rungs(Vec<Effort>);

impl Rungs {
    pub(crate) fn new(settings: &RungSettings) -> Self {
        let most = settings.complexity_max.min(COMPLEXITY_MAX);
        let least = settings.complexity_min.min(most);
        let packet = settings.packet.under(Effort::default());
        let mut efforts = vec![Effort { complexity: most, packet }];
        let mut cheapest = ENCODE_COST[usize::from(most)];
        for complexity in (least..most).rev() {
            let cost = ENCODE_COST[usize::from(complexity)];
            if cost < cheapest * RUNG_COST_MAX {
                efforts.push(Effort { complexity, packet });
                cheapest = cost;
            }
        }
        if settings.packet == ListenerPacketSetting::Auto {
            let complexity = efforts[efforts.len() - 1].complexity;
            let longer = [ListenerPacket::Ms40, ListenerPacket::Ms60];
            efforts.extend(longer.map(|packet| Effort { complexity, packet }));
        }
        Self(efforts)
    }

    /// Returns the number of the last rung; the first is 0.
    pub(crate) fn last(&self) -> usize {
        self.0.len() - 1
    }

    pub(crate) fn effort(&self, rung: usize) -> Effort {
        self.0[rung.min(self.last())]
    }

    /// Returns what an encode costs on `to` for each that it costs on `from`.
    pub(crate) fn encode_ratio(&self, from: usize, to: usize) -> f64 {
        let cost = |rung| ENCODE_COST[usize::from(self.effort(rung).complexity)];
        cost(to) / cost(from)
    }

    /// Returns how many packets leave on `to` for each that leaves on `from`.
    pub(crate) fn packet_ratio(&self, from: usize, to: usize) -> f64 {
        self.effort(from).packet.frames() as f64 / self.effort(to).packet.frames() as f64
    }
}

const COMPLEXITY_MAX: u8 = 10;

/// What an encode costs by complexity, as a share of that at complexity 9. Source: four recorded
/// sentences through libopus 1.6.1, as a mix at 64 kbit/s in frames of 20 ms.
const ENCODE_COST: [f64; 11] = [0.40, 0.50, 0.56, 0.57, 0.58, 0.73, 0.73, 0.98, 1.0, 1.0, 1.0];

/// A lower complexity is a rung only if it costs at most this share of the rung before. Chosen
/// because less than a twentieth is lost in the noise of the measurement, and quality with it.
const RUNG_COST_MAX: f64 = 0.95;

#[cfg(test)]
mod tests {
    use super::*;

    fn rungs(complexity_max: u8, complexity_min: u8, packet: ListenerPacketSetting) -> Rungs {
        Rungs::new(&RungSettings { complexity_max, complexity_min, packet })
    }

    fn complexities(rungs: &Rungs) -> Vec<u8> {
        rungs.0.iter().map(|effort| effort.complexity).collect()
    }

    #[test]
    fn encodes_become_cheaper_before_packets_become_longer() {
        let rungs = rungs(9, 0, ListenerPacketSetting::Auto);
        assert_eq!(complexities(&rungs), [9, 6, 4, 1, 0, 0, 0]);
        let packets: Vec<_> = rungs.0.iter().map(|effort| effort.packet.frames()).collect();
        assert_eq!(packets, [1, 1, 1, 1, 1, 2, 3]);
    }

    #[test]
    fn fixed_packet_has_no_rung_for_longer_ones() {
        let fixed = ListenerPacketSetting::Fixed(ListenerPacket::Ms20);
        let rungs = rungs(9, 5, fixed);
        assert_eq!(complexities(&rungs), [9, 6]);
        assert_eq!(rungs.effort(rungs.last()).packet, ListenerPacket::Ms20);
        let fixed = ListenerPacketSetting::Fixed(ListenerPacket::Ms60);
        assert_eq!(self::rungs(5, 5, fixed).0.len(), 1);
    }

    #[test]
    fn complexity_stays_within_its_bounds() {
        assert_eq!(complexities(&rungs(3, 9, ListenerPacketSetting::Auto)), [3, 3, 3]);
        assert_eq!(complexities(&rungs(255, 10, ListenerPacketSetting::Auto)), [10, 10, 10]);
        assert_eq!(rungs(9, 0, ListenerPacketSetting::Auto).effort(99).complexity, 0);
    }

    #[test]
    fn ratios_tell_what_a_rung_costs_against_another() {
        let rungs = rungs(9, 5, ListenerPacketSetting::Auto);
        let last = rungs.last();
        assert!((rungs.packet_ratio(last, 0) - 3.0).abs() < 1e-9);
        assert!((rungs.packet_ratio(last, last - 1) - 1.5).abs() < 1e-9);
        assert!((rungs.encode_ratio(last, 0) - 1.0 / 0.73).abs() < 1e-9);
    }
}
