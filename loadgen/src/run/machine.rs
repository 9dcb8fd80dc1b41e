//! What is known of a run before it begins: what was asked for, and where it runs.

use super::args::RunArgs;
use crate::report::{Machine, Parameters};

/// Returns what was asked for.
pub fn parameters(args: &RunArgs) -> Parameters {
    let pattern = clap::ValueEnum::to_possible_value(&args.pattern);
    let words: Vec<_> = std::env::args().skip(1).collect();
    Parameters {
        command: format!("sabha-loadgen {}", words.join(" ")),
        members_each: args.members,
        talkers_each: args.talkers_each(),
        pattern: pattern.map(|value| value.get_name().to_owned()).unwrap_or_default(),
        noisy: args.noisy,
        listener_packet: args.listener_packet.name().to_owned(),
        complexity: args.complexity,
        driver: args.driver.clone(),
        join_rate: args.join_rate,
        loss_percent: args.loss,
        churn: args.churn,
        early: args.early,
        processes: args.processes,
        expect_refusals: args.expect_refusals,
        seed: args.seed,
        node_settings: args.node_args.iter().cloned().collect(),
    }
}

/// Returns where it runs.
pub fn machine() -> Machine {
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name"));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    Machine {
        cores: std::thread::available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok()),
        cpu_model: model.map(|name| name.trim_start_matches([' ', '\t', ':']).to_owned()),
        kernel: kernel.map(|release| release.trim().to_owned()),
    }
}
