//! Counts the instructions of one path: this program again, under valgrind.

use std::process::Command;

use super::paths;

/// The command by which this program runs one path.
pub const PATH_COMMAND: &str = "path";

/// Returns how many instructions one run of a path takes.
///
/// The count depends on the compiler, on the libraries and on what instructions the processor has
/// (AES, AVX2; valgrind shows no AVX-512), not on what else the machine does.
///
/// # Errors
/// If valgrind is missing or fails, as a message for people.
pub fn count(name: &str) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={}", paths::COUNTED))
        .arg(program)
        .args([PATH_COMMAND, name])
        .output()
        .map_err(|error| format!("cannot run valgrind ({error}); run: apt-get install valgrind"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name} failed under valgrind:\n{said}"));
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let total = collected.and_then(|(_, total)| total.trim().parse::<f64>().ok());
    match total {
        Some(total) if total > 0.0 => Ok(total / f64::from(paths::RUNS)),
        _ => Err(format!("valgrind counted nothing of {name}:\n{said}")),
    }
}
