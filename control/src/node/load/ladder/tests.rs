//! The ladder against a model of the machine, in simulated time.

use sabha_mixer::{ListenerPacket, ListenerPacketSetting};

use super::*;

/// A thread with a load that follows from its work, its speed and the ladder's effort.
struct Plant {
    ladder: Ladder,
    now: Instant,
    /// Encodes a second.
    encodes: f64,
    /// Seconds of everything else in each second.
    other: f64,
    listeners: f64,
    /// Listeners' packets in each frame; follows the effort with a lag.
    packets_per_frame: f64,
    /// The share of a core that it gets; the ladder sees only what it uses, and lateness.
    capacity: f64,
    moves: usize,
}

impl Plant {
    fn new() -> Self {
        Self::with(ListenerPacketSetting::Auto)
    }

    fn with(packet: ListenerPacketSetting) -> Self {
        let rungs = RungSettings { complexity_max: 9, complexity_min: 0, packet };
        Self {
            ladder: Ladder::new(&LadderSettings { rungs, load_max: 0.85 }),
            now: Instant::from_millis(1_000),
            encodes: 0.0,
            other: 0.0,
            listeners: 0.0,
            packets_per_frame: 1.0,
            capacity: 1.0,
            moves: 0,
        }
    }

    /// Rooms of ten in which one talks: two encodes a tick, one decode.
    fn rooms(mut self, rooms: f64) -> Self {
        self.encodes = rooms * 100.0;
        self.other = rooms * 50.0 * 60e-6;
        self.listeners = rooms * 9.0;
        self
    }

    /// One conference with three talkers.
    fn conference(mut self, listeners: f64) -> Self {
        self.encodes = 200.0;
        self.other = 50.0 * 150e-6;
        self.listeners = listeners;
        self
    }

    fn capacity(mut self, capacity: f64) -> Self {
        self.capacity = capacity;
        self
    }

    fn encode_cost(&self) -> f64 {
        [34e-6, 42e-6, 48e-6, 48e-6, 49e-6, 62e-6, 62e-6, 83e-6, 84e-6, 84e-6, 85e-6]
            [usize::from(self.ladder.effort().complexity)]
    }

    fn packets(&self) -> f64 {
        self.listeners * 50.0 * self.packets_per_frame
    }

    /// What everything takes, in seconds a second.
    fn demand(&self) -> f64 {
        self.encodes * self.encode_cost() + self.other + self.packets() * 3e-6
    }

    /// A quarter of a second passes.
    fn turn(&mut self) {
        let wanted = 1.0 / self.ladder.effort().packet.frames() as f64;
        let step = (wanted - self.packets_per_frame).clamp(-0.05, 0.05);
        self.packets_per_frame += step;
        let (before, demand) = (self.ladder.step(), self.demand());
        let is_over = demand > self.capacity;
        let sent = if is_over { self.capacity / demand } else { 1.0 };
        let reading = Reading {
            busy: if is_over { 1.0 } else { demand },
            sending: self.packets() * sent * 4.5e-6,
            receiving: 0.0,
            late_max: Duration::from_millis(if is_over { 40 } else { 1 }),
        };
        self.ladder.handle_reading(self.now, &reading);
        self.moves += usize::from(self.ladder.step() != before);
        self.now += Duration::from_millis(250);
    }

    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds * 4 {
            self.turn();
        }
    }

    /// Passes time and returns how often the step changed meanwhile.
    fn moves_in(&mut self, seconds: u32) -> usize {
        let before = self.moves;
        self.pass(seconds);
        self.moves - before
    }

    fn packet(&self) -> ListenerPacket {
        self.ladder.effort().packet
    }
}

#[test]
fn low_load_keeps_all_effort_and_refuses_nobody() {
    for listeners in [0.0, 10.0, 1_000.0, 3_000.0] {
        let mut plant = Plant::new().conference(listeners);
        assert_eq!(plant.moves_in(600), 0, "{listeners}");
        assert_eq!((plant.ladder.step(), plant.ladder.effort().complexity), (0, 9));
    }
}

#[test]
fn hiccups_of_the_machine_move_nothing() {
    let mut plant = Plant::new().conference(500.0);
    for turn in 0..4_000 {
        plant.turn();
        if turn % 40 == 0 {
            let reading =
                Reading { busy: 1.0, late_max: Duration::from_millis(200), ..Reading::default() };
            plant.ladder.handle_reading(plant.now, &reading);
        }
        assert!(plant.ladder.load() < 0.6);
    }
    assert_eq!((plant.moves, plant.ladder.is_full()), (0, false));
}

#[test]
fn ticks_that_others_make_late_degrade_no_idle_node() {
    let mut plant = Plant::new().conference(100.0);
    for _ in 0..400 {
        let late = Reading { busy: 0.1, late_max: Duration::from_millis(30), ..Reading::default() };
        plant.ladder.handle_reading(plant.now, &late);
        plant.now += Duration::from_millis(250);
    }
    assert_eq!(plant.ladder.step(), 0);
}

#[test]
fn rooms_of_talkers_get_cheaper_encodes_and_keep_short_packets() {
    let mut plant = Plant::new().rooms(70.0);
    assert!(plant.demand() > 0.85);
    plant.pass(10);
    assert!(plant.ladder.effort().complexity < 9);
    assert_eq!(plant.packet(), ListenerPacket::Ms20);
    assert!(plant.demand() < 0.7, "{}", plant.demand());
    assert_eq!((plant.moves_in(600), plant.ladder.is_full()), (0, false));
}

#[test]
fn many_listeners_get_long_packets() {
    let mut plant = Plant::new().conference(8_000.0);
    assert!(plant.demand() > 1.2);
    plant.pass(20);
    assert_eq!(plant.packet(), ListenerPacket::Ms60);
    assert!(plant.demand() < 0.5);
    assert_eq!((plant.moves_in(600), plant.ladder.is_full()), (0, false));
}

#[test]
fn steady_load_settles_at_every_size() {
    for capacity in [0.3, 0.5, 1.0] {
        for size in 1..60 {
            for plant in [
                Plant::new().rooms(f64::from(size) * 2.0),
                Plant::new().conference(f64::from(size) * 300.0),
            ] {
                let mut plant = plant.capacity(capacity);
                plant.pass(300);
                let moves = plant.moves_in(600);
                // Where a limit is not seen before it is hit, a step down may be tried again,
                // ever more rarely.
                let moves_max = if capacity < 1.0 { 24 } else { 0 };
                let demand = plant.demand();
                assert!(moves <= moves_max, "{capacity} {size}: {moves} moves, {demand}");
            }
        }
    }
}

#[test]
fn everything_comes_back_when_the_load_is_gone() {
    let mut plant = Plant::new().conference(20_000.0);
    plant.pass(30);
    assert!(plant.ladder.is_full());
    assert_eq!(plant.ladder.step(), plant.ladder.step_max());
    plant.listeners = 300.0;
    plant.pass(5);
    assert!(!plant.ladder.is_full());
    plant.pass(120);
    assert_eq!((plant.ladder.step(), plant.ladder.effort().complexity), (0, 9));
}

#[test]
fn overload_climbs_to_the_end_within_seconds() {
    let mut plant = Plant::new().conference(30_000.0);
    plant.pass(3);
    assert_eq!(plant.packet(), ListenerPacket::Ms60);
    assert!(plant.ladder.is_full() && plant.ladder.is_at_end());
}

#[test]
fn slow_growth_gives_up_all_effort_before_anybody_is_refused() {
    let mut plant = Plant::new().conference(100.0);
    while !plant.ladder.is_full() {
        plant.listeners += 5.0;
        plant.turn();
        assert!(plant.listeners < 30_000.0);
    }
    assert_eq!(plant.packet(), ListenerPacket::Ms60);
    assert!(plant.demand() > 0.8 && plant.demand() < 0.95, "{}", plant.demand());
}

#[test]
fn full_node_takes_newcomers_again_only_with_room_to_spare() {
    let mut plant = Plant::new().conference(17_000.0);
    plant.pass(60);
    assert!(plant.ladder.is_full(), "{}", plant.demand());
    plant.listeners = 16_300.0;
    plant.pass(60);
    assert!(plant.demand() < 0.85 && plant.ladder.is_full());
    plant.listeners = 15_000.0;
    plant.pass(60);
    assert!(!plant.ladder.is_full());
}

#[test]
fn limit_that_shows_only_in_lateness_is_kept() {
    let mut plant = Plant::new().conference(4_000.0).capacity(0.5);
    assert!(plant.demand() > plant.capacity);
    plant.pass(10);
    assert!(plant.demand() < plant.capacity);
    let mut over = 0;
    for _ in 0..2_400 {
        plant.turn();
        over += usize::from(plant.demand() > plant.capacity);
    }
    assert!(over < 120, "over its capacity for {over} quarters of a second in ten minutes");
}

#[test]
fn unseen_limit_that_is_reached_for_good_refuses_newcomers() {
    let mut plant = Plant::new().conference(9_000.0).capacity(0.4);
    plant.pass(30);
    assert!(plant.ladder.is_full());
    plant.ladder.load_max = 1.0;
    plant.pass(30);
    assert!(!plant.ladder.is_full());
}

#[test]
fn fixed_packets_stay_as_they_are() {
    let fixed = ListenerPacketSetting::Fixed(ListenerPacket::Ms20);
    let mut plant = Plant::with(fixed).conference(8_000.0);
    plant.pass(30);
    assert_eq!(plant.packet(), ListenerPacket::Ms20);
    assert_eq!(plant.ladder.effort().complexity, 0);
    assert!(plant.ladder.is_full());
    assert_eq!(plant.ladder.step_max(), 5);
}

#[test]
fn lower_limit_moves_the_whole_ladder_down() {
    let mut plant = Plant::new().conference(3_000.0);
    plant.ladder.load_max = 0.05;
    plant.pass(30);
    assert_eq!(plant.ladder.step(), plant.ladder.step_max());
    plant.listeners = 0.0;
    plant.encodes = 0.0;
    plant.other = 0.0;
    plant.pass(120);
    assert_eq!(plant.ladder.step(), 0);
}
