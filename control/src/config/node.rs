//! `[node]`: the node that `sabha node` runs.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    thread,
    time::Duration,
};

use sabha_media::codec::EncoderSettings;
use sabha_mixer::ListenerPacketSetting;
use sabha_transport::DriverKind;

use crate::config::section::Section;

/// The node that `sabha node` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Where signalling listens.
    pub listen: SocketAddr,
    /// IP address and first port of the shards' media sockets; the shards take ports from there on.
    ///
    /// Port 0 lets each shard take any that is free.
    pub media: SocketAddr,
    /// The addresses that members are told; never empty, never unspecified.
    pub advertise: Vec<IpAddr>,
    /// How many shards run, each on a thread of its own; at least 1.
    pub shards: u16,
    /// Legs that one shard holds.
    pub legs_max: u32,
    /// Conferences that one shard holds.
    pub conferences_max: u32,
    /// Most talkers in a mix, whatever a host asks for.
    pub talkers_max: u8,
    /// Bitrate of the mix, and the most effort that goes into it.
    pub mix: EncoderSettings,
    /// The least effort that goes into the mix, however busy the node is.
    pub mix_complexity_min: u8,
    /// How much sound one packet holds to those who only listen.
    pub listener_packet: ListenerPacketSetting,
    /// The load of a media thread, in percent, above which newcomers are refused.
    pub load_max_percent: u8,
    /// Signalling sessions at once.
    pub sessions_max: u32,
    /// Which back end runs the media threads.
    pub driver: DriverKind,
    /// The least that playout waits for late packets.
    pub playout_min: Duration,
    /// The most that playout waits for late packets.
    pub playout_max: Duration,
    /// Where figures and probes are served over HTTP, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Where the counters go at the end, as JSON.
    pub report: Option<PathBuf>,
    /// How much older than a conference this node's mixer mark must be.
    pub mark_margin: Duration,
    /// Whether media threads run before all ordinary ones, where the system lets them.
    pub real_time: bool,
    /// Whether each use of a media key is logged; for demonstrations.
    pub key_use_log: bool,
}

impl NodeConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let listen = section.value("listen", SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)));
        let media = section.value("media", SocketAddr::from((Ipv6Addr::UNSPECIFIED, MEDIA_PORT)));
        let advertise = section.value("advertise", own_addresses(listen.ip()));
        let config = Self {
            listen,
            media,
            advertise,
            shards: match section.number("shards", 0, 0..=SHARDS_MAX) {
                0 => one_per_core(),
                shards => shards,
            },
            legs_max: section.number("legs_max", 8_192, 1..=65_536),
            conferences_max: section.number("conferences_max", 1_024, 1..=65_536),
            talkers_max: section.number("talkers_max", 8, 1..=TALKERS_MAX),
            mix: EncoderSettings {
                bitrate: section.number("mix_bitrate", 64_000, 6_000..=192_000),
                complexity: section.number("mix_complexity", 9, 0..=10),
            },
            mix_complexity_min: section.number("mix_complexity_min", 0, 0..=10),
            listener_packet: section.value("listener_packet", ListenerPacketSetting::Auto),
            load_max_percent: section.number("load_max_percent", 85, 1..=100),
            sessions_max: section.number("sessions_max", 20_000, 1..=1_000_000),
            driver: section.value("driver", DriverKind::Auto),
            playout_min: Duration::from_millis(section.number("playout_min_ms", 4, 0..=1_000)),
            playout_max: Duration::from_millis(section.number("playout_max_ms", 200, 20..=2_000)),
            metrics: section.optional("metrics"),
            report: section.optional("report"),
            mark_margin: Duration::from_secs(section.number("mark_margin_secs", 60, 0..=3_600)),
            real_time: section.value("real_time", true),
            key_use_log: section.value("key_use_log", false),
        };
        config.check_ports(section);
        config.check_advertise(section);
        config.check_playout(section);
        config.check_complexity(section);
        config
    }

    fn check_ports(&self, section: &mut Section<'_>) {
        let (listen, first) = (self.listen.port(), self.media.port());
        if first == 0 {
            return;
        }
        let Some(last) = first.checked_add(self.shards - 1) else {
            let wrong = format!("begins at port {first}, too high for {} shards", self.shards);
            return section.reject("media", wrong, "take a lower port or set node.shards lower");
        };
        let is_wide = |ip: IpAddr| ip.is_unspecified();
        let (signalling, media) = (self.listen.ip(), self.media.ip());
        let can_meet = signalling == media || is_wide(signalling) || is_wide(media);
        if can_meet && (first..=last).contains(&listen) {
            let wrong = format!("takes ports {first} to {last}, but node.listen is {listen}");
            section.reject("media", wrong, "keep the two apart");
        }
    }

    fn check_advertise(&self, section: &mut Section<'_>) {
        let is_unusable = |ip: &&IpAddr| ip.is_unspecified() || ip.is_multicast();
        if self.advertise.is_empty() {
            let remedy = "name at least one address, or leave the key out";
            section.reject("advertise", "is an empty list".to_owned(), remedy);
        } else if self.advertise.len() > ADVERTISE_MAX {
            let wrong = format!("has {} addresses", self.advertise.len());
            let remedy = "name at most 4, as many as a join link carries";
            section.reject("advertise", wrong, remedy);
        } else if let Some(ip) = self.advertise.iter().find(is_unusable) {
            let wrong = format!("has {ip}, which nobody can call");
            section.reject("advertise", wrong, "name addresses that members can reach");
        }
    }

    fn check_playout(&self, section: &mut Section<'_>) {
        let (min, max) = (self.playout_min.as_millis(), self.playout_max.as_millis());
        if min > max {
            let wrong = format!("is {min}, more than node.playout_max_ms, which is {max}");
            section.reject("playout_min_ms", wrong, "lower it, or raise node.playout_max_ms");
        }
    }

    fn check_complexity(&self, section: &mut Section<'_>) {
        let (least, most) = (self.mix_complexity_min, self.mix.complexity);
        if least > most {
            let wrong = format!("is {least}, more than node.mix_complexity, which is {most}");
            section.reject("mix_complexity_min", wrong, "lower it, or raise node.mix_complexity");
        }
    }
}

/// Returns the address itself if it is specific, else the loopback addresses that it covers.
fn own_addresses(ip: IpAddr) -> Vec<IpAddr> {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![Ipv4Addr::LOCALHOST.into()],
        IpAddr::V6(ip) if ip.is_unspecified() => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        ip => vec![ip],
    }
}

fn one_per_core() -> u16 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    u16::try_from(cores).unwrap_or(SHARDS_MAX).min(SHARDS_MAX)
}

/// Port of signalling; chosen together with those of media and the CA.
const PORT: u16 = 4600;
/// First port of media; ten above signalling, so that the two are told apart at a glance.
const MEDIA_PORT: u16 = 4610;
/// Most shards; more cores than that run more nodes.
const SHARDS_MAX: u16 = 1_024;
/// Most talkers that a mix can have. Source: `sabha_mixer::settings::TALKERS_MAX`.
const TALKERS_MAX: u8 = 12;
/// Most advertised addresses. Source: `JoinLink::ADDRESSES_MAX`.
const ADVERTISE_MAX: usize = 4;
