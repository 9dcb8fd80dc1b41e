//! `sabha devices`, and the devices of `sabha join`.

use sabha_client::media::{Sink, Source};

use crate::cli::Failure;

/// Lists microphones and speakers.
///
/// # Errors
/// `Failure` if the system gives no list, or this program was built without devices.
#[cfg(feature = "audio-devices")]
pub fn run() -> Result<(), Failure> {
    let devices = sabha_client::devices::list()?;
    if devices.is_empty() {
        return Err(Failure::new("the system lists no sound devices; check that ALSA is set up"));
    }
    let lines = devices.iter().map(|device| {
        let uses = match (device.is_microphone, device.is_speaker) {
            (true, true) => "both",
            (true, false) => "microphone",
            (false, true) => "speaker",
            (false, false) => "neither",
        };
        format!("{uses:<10}  {}  ({})\n", device.name, device.description)
    });
    Ok(crate::cli::output::print(&lines.collect::<String>())?)
}

/// Opens a microphone.
#[cfg(feature = "audio-devices")]
pub(super) fn microphone(name: &str) -> Result<Box<dyn Source>, Failure> {
    Ok(Box::new(sabha_client::devices::DeviceSource::open(name)?))
}

/// Opens a speaker.
#[cfg(feature = "audio-devices")]
pub(super) fn speaker(name: &str) -> Result<Box<dyn Sink>, Failure> {
    Ok(Box::new(sabha_client::devices::DeviceSink::open(name)?))
}

/// Says how to get devices.
///
/// # Errors
/// `Failure`, always.
#[cfg(not(feature = "audio-devices"))]
pub fn run() -> Result<(), Failure> {
    Err(missing())
}

#[cfg(not(feature = "audio-devices"))]
pub(super) fn microphone(_name: &str) -> Result<Box<dyn Source>, Failure> {
    Err(missing())
}

#[cfg(not(feature = "audio-devices"))]
pub(super) fn speaker(_name: &str) -> Result<Box<dyn Sink>, Failure> {
    Err(missing())
}

#[cfg(not(feature = "audio-devices"))]
fn missing() -> Failure {
    Failure::usage(
        "this program was built without sound devices; install libasound2-dev and build it with: \
         cargo build --release --package sabha-control --features audio-devices",
    )
}
