//! Another program as the sending side, to hold ours against: `benches/floor.c`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{FloorError, Order, Sent};

/// Runs a program that is told size, interval in ms, seconds and packets at a time as arguments and
/// the ports on its standard input, and that prints CPU in ns, packets, and packets with its warm-up.
pub(super) fn run(program: &Path, order: &Order) -> Result<Sent, FloorError> {
    let size = order.sizes.first().copied().unwrap_or(0);
    let mut child = Command::new(program)
        .args([size.to_string(), order.interval.as_millis().to_string()])
        .args([order.seconds.to_string(), order.gather.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(FloorError::Child)?;
    let ports: String = order.to.iter().map(|to| format!("{}\n", to.port())).collect();
    let stdin = child.stdin.take().expect("the child was started with a pipe");
    let told = { stdin }.write_all(ports.as_bytes());
    let output = child.wait_with_output().map_err(FloorError::Child)?;
    told.map_err(FloorError::Child)?;
    if !output.status.success() {
        return Err(FloorError::ChildFailed(output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
    let Ok(&[cpu_nanos, datagrams, datagrams_all]) = figures.as_deref() else {
        return Err(FloorError::Foreign(text.into_owned()));
    };
    let elapsed = Duration::from_secs_f64(order.seconds);
    Ok(Sent { cpu: Duration::from_nanos(cpu_nanos), elapsed, datagrams, datagrams_all })
}
