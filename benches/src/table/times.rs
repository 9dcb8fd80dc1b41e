//! Criterion's last figures.

use std::fs;
use std::path::PathBuf;

/// Returns the median time of one iteration in ns, if the bench has run.
///
/// `bench` is its full name, such as `srtp/protect/sabha`.
pub fn nanos(bench: &str) -> Option<f64> {
    let text = fs::read_to_string(folder(bench)?.join("estimates.json")).ok()?;
    let estimates: serde_json::Value = serde_json::from_str(&text).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}

/// Where criterion keeps the last run of a bench, beside the folder that this program is in.
///
/// The name's first parts are a group, whose folder has `_` for `/`; how many they are the name
/// does not tell.
fn folder(bench: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let root = program.parent()?.parent()?.join("criterion");
    let parts: Vec<&str> = bench.split('/').collect();
    let mut cuts = (1..=parts.len()).map(|cut| {
        let (group, rest) = parts.split_at(cut);
        let folder = rest.iter().fold(root.join(group.join("_")), |folder, part| folder.join(part));
        folder.join("new")
    });
    cuts.find(|folder| folder.is_dir())
}
