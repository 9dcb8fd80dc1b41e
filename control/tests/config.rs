//! The configuration: layers, ranges, and mistakes told all at once.

#![allow(clippy::unwrap_used)]

use std::{ffi::OsString, fs, path::PathBuf, time::Duration};

use sabha_control::config::{Config, Flag, LogFormat, Origin, Problem, Sources};
use sabha_core::ca::MixerPolicy;
use sabha_mixer::{ListenerPacket, ListenerPacketSetting};
use sabha_transport::DriverKind;
use tempfile::TempDir;

/// A folder of its own with the given sabha.toml, and nothing else.
struct Case {
    dir: TempDir,
    sources: Sources,
}

impl Case {
    fn new(toml: &str) -> Self {
        let case = Self::without_file();
        fs::write(case.dir.path().join("sabha.toml"), toml).unwrap();
        case
    }

    fn without_file() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sources = Sources { working_dir: dir.path().to_owned(), ..Sources::default() };
        Self { dir, sources }.variable("HOME", "/users/ann")
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.variables.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, key: &'static str, name: &'static str, value: &str) -> Self {
        self.sources.flags.push(Flag { key, name, value: value.to_owned() });
        self
    }

    fn config(&self) -> Config {
        Config::load(&self.sources).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn problems(&self) -> Vec<Problem> {
        Config::load(&self.sources).unwrap_err().0
    }

    /// Returns the only problem as text.
    fn problem(&self) -> String {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    }
}

#[test]
fn defaults_need_no_file() {
    let config = Case::without_file().config();
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.identity.dir, PathBuf::from("/users/ann/.local/share/sabha"));
    assert_eq!(config.ca.dir, PathBuf::from("/users/ann/.local/share/sabha-ca"));
    assert_eq!(config.ca.listen.to_string(), "127.0.0.1:4700");
    assert_eq!(config.ca.settings, sabha_core::ca::AuthoritySettings::default());
    assert_eq!(config.node.listen.to_string(), "[::]:4600");
    let loopback: [std::net::IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    assert_eq!(config.node.advertise, loopback);
    assert!(config.node.shards >= 1);
    assert_eq!((config.node.mix.bitrate, config.node.mix.complexity), (64_000, 9));
    assert_eq!(config.client.encoder.bitrate, 48_000);
    assert_eq!(config.client.playout_delay, Duration::from_millis(10));
}

#[test]
fn effort_and_load_of_a_node_are_read_and_checked() {
    let config = Case::without_file().config().node;
    assert_eq!((config.listener_packet, config.driver), Default::default());
    assert_eq!((config.mix_complexity_min, config.load_max_percent), (0, 85));
    assert_eq!(config.sessions_max, 20_000);

    let fixed = ListenerPacketSetting::Fixed(ListenerPacket::Ms60);
    for toml in ["listener_packet = \"60\"", "listener_packet = 60"] {
        let config = Case::new(&format!("[node]\n{toml}\ndriver = \"poll\"\n")).config();
        assert_eq!((config.node.listener_packet, config.node.driver), (fixed, DriverKind::Poll));
        assert!(config.to_toml().contains("listener_packet = \"60\""));
    }
    let variable = Case::without_file().variable("SABHA_NODE_LISTENER_PACKET", "40").config();
    let fixed = ListenerPacketSetting::Fixed(ListenerPacket::Ms40);
    assert_eq!(variable.node.listener_packet, fixed);

    let problem = |toml: &str| Case::new(&format!("[node]\n{toml}\n")).problem();
    assert!(problem("listener_packet = 30").contains("\"20\", \"40\" or \"60\""));
    assert!(problem("driver = \"tokio\"").contains("\"auto\", \"poll\" or \"glommio\""));
    assert!(problem("load_max_percent = 0").contains("from 1 to 100"));
    let least = problem("mix_complexity = 5\nmix_complexity_min = 6");
    assert!(least.contains("is 6, more than node.mix_complexity, which is 5"), "{least}");
}

#[test]
fn folders_follow_xdg_and_services_without_home_get_var_lib() {
    let xdg = Case::without_file().variable("XDG_DATA_HOME", "/data").config();
    assert_eq!(xdg.identity.dir, PathBuf::from("/data/sabha"));
    let relative = Case::without_file().variable("XDG_DATA_HOME", "data").config();
    assert_eq!(relative.identity.dir, PathBuf::from("/users/ann/.local/share/sabha"));
    let mut homeless = Case::without_file();
    homeless.sources.variables.clear();
    assert_eq!(homeless.config().ca.dir, PathBuf::from("/var/lib/sabha-ca"));
}

#[test]
fn file_is_overridden_by_variable_and_that_by_flag() {
    let file = "[node]\nlisten = \"127.0.0.1:1\"\nmedia = \"127.0.0.1:100\"\nshards = 2\n";
    let case = Case::new(file)
        .variable("SABHA_NODE_LISTEN", "127.0.0.1:2")
        .variable("SABHA_NODE_SHARDS", "3")
        .flag("node.listen", "--listen", "127.0.0.1:3");
    let node = case.config().node;
    assert_eq!(node.media.port(), 100);
    assert_eq!(node.shards, 3);
    assert_eq!(node.listen.port(), 3);
}

#[test]
fn every_kind_of_value_is_read_from_file_and_variable() {
    let file = "[ca]\nmixers = [\"Ann@b.org\"]\notp_minutes = 5\n[node]\nkey_use_log = true\n\
                advertise = [\"192.0.2.7\", \"2001:db8::7\"]\nreport = \"out.json\"\n\
                [log]\nformat = \"json\"\nlevel = \"warn,sabha_core=debug\"\n";
    let from_file = Case::new(file).config();
    let from_variables = Case::without_file()
        .variable("SABHA_CA_MIXERS", "Ann@b.org")
        .variable("SABHA_CA_OTP_MINUTES", "5")
        .variable("SABHA_NODE_KEY_USE_LOG", "true")
        .variable("SABHA_NODE_ADVERTISE", "192.0.2.7, 2001:db8::7")
        .variable("SABHA_NODE_REPORT", "out.json")
        .variable("SABHA_LOG_FORMAT", "json")
        .variable("SABHA_LOG_LEVEL", "warn,sabha_core=debug")
        .config();
    let ann = MixerPolicy::Only(["ann@b.org".parse().unwrap()].into());
    assert_eq!(from_file.ca.settings.mixers, ann);
    assert_eq!(from_file.ca.settings.otp_lifetime, Duration::from_secs(300));
    assert_eq!(from_file.node.advertise.len(), 2);
    assert_eq!(from_file.node.report, Some("out.json".into()));
    assert!(from_file.node.key_use_log);
    assert_eq!((from_file.log, from_file.ca), (from_variables.log, from_variables.ca));
    assert_eq!(from_file.node, from_variables.node);
}

#[test]
fn file_comes_from_flag_then_variable_then_working_folder() {
    let mut case = Case::new("[node]\nshards = 1\n");
    let path = |name: &str| case.dir.path().join(name);
    fs::write(path("two.toml"), "[node]\nshards = 2\n").unwrap();
    fs::write(path("three.toml"), "[node]\nshards = 3\n").unwrap();
    let (two, three) = (path("two.toml"), path("three.toml"));
    assert_eq!(case.config().node.shards, 1);
    case.sources.variables.push(("SABHA_CONFIG".into(), two.into()));
    assert_eq!(case.config().node.shards, 2);
    case.sources.file = Some(three);
    assert_eq!(case.config().node.shards, 3);
}

#[test]
fn named_file_that_is_missing_is_told() {
    let mut case = Case::without_file();
    case.sources.file = Some("gone.toml".into());
    let problem = case.problem();
    assert!(problem.starts_with("gone.toml: cannot be read (named by --config): "), "{problem}");
}

#[test]
fn unknown_key_is_told_with_file_line_and_remedy() {
    let problem = Case::new("[node]\nshards = 1\nlitsen = \"[::]:1\"\n").problem();
    assert_eq!(
        problem,
        "sabha.toml line 3: node.litsen is not a known key; did you mean node.listen?"
    );
}

#[test]
fn unknown_variable_is_told_in_its_own_terms() {
    let case = Case::without_file().variable("SABHA_NODE_SHARD", "1");
    assert_eq!(
        case.problem(),
        "SABHA_NODE_SHARD: node.shard is not a known key; did you mean SABHA_NODE_SHARDS?"
    );
}

#[test]
fn key_in_the_wrong_place_is_told_where_it_belongs() {
    let elsewhere = Case::new("[node]\nplayout_delay_ms = 60\n").problem();
    assert!(elsewhere.ends_with("did you mean client.playout_delay_ms?"), "{elsewhere}");
    let top = Case::new("mix_bitrate = 32000\n").problem();
    assert!(top.ends_with("did you mean node.mix_bitrate?"), "{top}");
}

#[test]
fn key_that_is_like_no_other_gets_the_list() {
    let key = Case::new("[log]\nrotation_interval = 3\n").problem();
    assert!(key.ends_with("the keys of [log] are level, format"), "{key}");
    let section = Case::new("[dashboard_options]\n").problem();
    assert!(section.ends_with("the sections are log, identity, ca, node, client"), "{section}");
}

#[test]
fn section_that_is_written_as_key_is_told() {
    let problem = Case::new("node = 3\n").problem();
    assert!(problem.contains("line 1: node is a section, not a key; write the heading [node]"));
    Case::new("[node]\n").config();
}

#[test]
fn file_that_is_no_toml_is_told_with_its_line() {
    let problems = Case::new("[node]\nshards = = 1\n").problems();
    assert!(matches!(&problems[0].origin, Origin::Line(_, 2)), "{problems:?}");
    assert!(problems[0].wrong.starts_with("this is not TOML: "), "{problems:?}");
}

#[test]
fn key_that_is_set_twice_is_told() {
    let problems = Case::new("[node]\nshards = 1\nshards = 2\n").problems();
    assert!(problems[0].to_string().contains("sabha.toml line 3: "), "{problems:?}");
}

#[test]
fn each_wrong_value_is_told_with_a_remedy() {
    let wrong = [
        ("ca.listen", "4700", "write IP:PORT"),
        ("node.listen", "\"localhost:1\"", "write IP:PORT"),
        ("node.advertise", "[\"192.0.2.7:1\"]", "write it without port"),
        ("node.advertise", "\"192.0.2.7\"", "put its items between [ and ]"),
        ("node.advertise", "[]", "name at least one"),
        ("node.advertise", "[\"0.0.0.0\"]", "name addresses that members can reach"),
        ("node.shards", "\"2\"", "write digits only, without quotes"),
        ("node.shards", "-1", "write digits only"),
        ("node.shards", "1025", "from 0 to 1024"),
        ("node.talkers_max", "0", "from 1 to 12"),
        ("node.talkers_max", "13", "from 1 to 12"),
        ("node.mix_bitrate", "5999", "from 6000 to 192000"),
        ("node.mix_complexity", "11", "from 0 to 10"),
        ("node.playout_min_ms", "201", "raise node.playout_max_ms"),
        ("node.key_use_log", "\"yes\"", "write true or false"),
        ("node.report", "\"\"", "leave the key out"),
        ("client.bitrate", "192001", "from 6000 to 192000"),
        ("client.bitrate", "3.2", "write digits only"),
        ("client.complexity", "99999999999999999999", "write digits only"),
        ("identity.dir", "\"~/id\"", "write the whole path"),
        ("identity.dir", "3", "write the path as text"),
        ("ca.mixers", "[\"ann\"]", "write it as \"name@example.org\""),
        ("ca.otp_minutes", "0", "from 1 to 60"),
        ("log.level", "\"inof\"", "write error, warn, info"),
        ("log.format", "\"xml\"", "write \"text\" or \"json\""),
    ];
    for (key, value, remedy) in wrong {
        let (section, name) = key.split_once('.').unwrap();
        let problem = Case::new(&format!("[{section}]\n{name} = {value}\n")).problem();
        assert!(problem.starts_with(&format!("sabha.toml line 2: {key} ")), "{problem}");
        assert!(problem.contains(remedy), "{problem}");
    }
}

#[test]
fn ports_of_signalling_and_media_must_not_meet() {
    let case = |media: &str| {
        let file = format!("[node]\nlisten = \"[::]:4600\"\nshards = 4\nmedia = \"{media}\"\n");
        Case::new(&file)
    };
    let meets = case("127.0.0.1:4598").problem();
    assert!(meets.contains("takes ports 4598 to 4601, but node.listen is 4600"), "{meets}");
    let high = case("127.0.0.1:65533").problem();
    assert!(high.contains("too high for 4 shards"), "{high}");
    for media in ["127.0.0.1:4596", "127.0.0.1:65532", "127.0.0.1:0"] {
        case(media).config();
    }
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_place() {
    let case = Case::new("[node]\nlisten = 1\nshrads = 2\n[cleint]\nbitrate = 1\n")
        .variable("SABHA_CLIENT_BITRATE", "much")
        .variable("SABHA_CA_LISTNE", "127.0.0.1:1")
        .flag("node.media", "--media", "here");
    let mut problems: Vec<_> = case.problems().iter().map(ToString::to_string).collect();
    problems.sort();
    let begins = [
        "--media: node.media is \"here\"",
        "SABHA_CA_LISTNE: ca.listne is not a known key; did you mean SABHA_CA_LISTEN?",
        "SABHA_CLIENT_BITRATE: client.bitrate is \"much\"",
        "sabha.toml line 2: node.listen is 1",
        "sabha.toml line 3: node.shrads is not a known key; did you mean node.shards?",
        "sabha.toml line 5: cleint.bitrate is not a known key; did you mean client.bitrate?",
    ];
    assert_eq!(problems.len(), begins.len(), "{problems:#?}");
    for (problem, begin) in problems.iter().zip(begins) {
        assert!(problem.starts_with(begin), "{problem}");
    }
}

#[test]
fn foreign_and_empty_variables_are_left_alone() {
    Case::without_file()
        .variable("SABHA_NODE_SERVICE_HOST", "10.0.0.1")
        .variable("SABHA_NODE_PORT", "tcp://10.0.0.1:4600")
        .variable("SABHA_PORT_4600_UDP_ADDR", "10.0.0.1")
        .variable("SABHA_NODE_REPORT", "")
        .variable("NODE_LISTEN", "nonsense")
        .config();
}

#[test]
fn variable_that_is_not_utf_8_is_told() {
    use std::os::unix::ffi::OsStringExt;

    let mut case = Case::without_file();
    let value = OsString::from_vec(vec![b'/', 0xff]);
    case.sources.variables.push(("SABHA_IDENTITY_DIR".into(), value));
    assert!(case.problem().contains("text that is not UTF-8"));
}

#[test]
fn printed_configuration_names_origins_and_can_be_read_again() {
    let case = Case::new("[node]\nshards = 2\n[ca]\nmixers = [\"ann@b.org\"]\n")
        .variable("SABHA_LOG_LEVEL", "debug")
        .variable("SABHA_NODE_REPORT", "a \"b\".json")
        .flag("node.listen", "--listen", "127.0.0.1:9");
    let config = case.config();
    let text = config.to_toml();
    let origin = |begin: &str| {
        let line = text.lines().find(|line| line.starts_with(begin)).unwrap();
        line.rsplit_once("# ").unwrap().1.to_owned()
    };
    assert_eq!(origin("shards = 2"), "sabha.toml line 2");
    assert_eq!(origin("level = \"debug\""), "SABHA_LOG_LEVEL");
    assert_eq!(origin("listen = \"127.0.0.1:9\""), "--listen");
    assert_eq!(origin("complexity = 9"), "default");
    let again = Case::new(&text).config();
    assert_eq!((again.log, again.identity, again.ca), (config.log, config.identity, config.ca));
    assert_eq!((again.node, again.client), (config.node, config.client));
}
