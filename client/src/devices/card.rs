//! Finds devices, and the shape of sound that each is opened with.

use std::sync::Arc;

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{BufferSize, Device, SampleFormat, StreamConfig, SupportedStreamConfigRange};

use super::{DEFAULT_DEVICE, DeviceCounters, DeviceError, DeviceKind};
use crate::sound::SAMPLE_RATE_HZ;

/// A device that the system lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name to choose it by.
    pub name: String,
    /// What the system calls it for people.
    pub description: String,
    /// Whether it can be a microphone.
    pub is_microphone: bool,
    /// Whether it can be a speaker.
    pub is_speaker: bool,
}

/// Lists the system's devices, at most `DEVICES_MAX`.
///
/// # Errors
/// `NoList` if the system gives none.
pub fn list() -> Result<Vec<DeviceInfo>, DeviceError> {
    let devices = cpal::default_host().devices();
    let devices = devices.map_err(|error| DeviceError::NoList { reason: error.to_string() })?;
    let info = |device: Device| {
        let name = name_of(&device)?;
        let description = device.description().ok()?.name().to_owned();
        let (is_microphone, is_speaker) = (device.supports_input(), device.supports_output());
        Some(DeviceInfo { name, description, is_microphone, is_speaker })
    };
    Ok(devices.take(DEVICES_MAX).filter_map(info).collect())
}

/// A device with the shape of its sound.
pub(super) struct Card {
    pub(super) device: Device,
    pub(super) kind: DeviceKind,
    pub(super) name: String,
    pub(super) config: StreamConfig,
    pub(super) format: SampleFormat,
}

impl Card {
    /// Finds a device and what suits best of what it offers: 48 kHz, `f32`, few channels.
    pub(super) fn find(kind: DeviceKind, name: &str) -> Result<Self, DeviceError> {
        let host = cpal::default_host();
        let device = match (name, kind) {
            (DEFAULT_DEVICE, DeviceKind::Microphone) => host.default_input_device(),
            (DEFAULT_DEVICE, DeviceKind::Speaker) => host.default_output_device(),
            _ => host.devices().ok().and_then(|mut devices| {
                devices.find(|device| name_of(device).is_some_and(|found| found == name))
            }),
        };
        let name = name.to_owned();
        let Some(device) = device else { return Err(DeviceError::Unknown { kind, name }) };
        let offered: Result<Vec<SupportedStreamConfigRange>, _> = match kind {
            DeviceKind::Microphone => device.supported_input_configs().map(Iterator::collect),
            DeviceKind::Speaker => device.supported_output_configs().map(Iterator::collect),
        };
        let offered = offered.map_err(|error| unusable(kind, &name, &error))?;
        let best = offered.iter().filter_map(suits).min_by_key(|(cost, ..)| *cost);
        let Some((_, format, config)) = best else {
            return Err(DeviceError::NoFormat { kind, name });
        };
        Ok(Self { device, kind, name, config, format })
    }

    pub(super) fn unusable(&self, error: &cpal::Error) -> DeviceError {
        unusable(self.kind, &self.name, error)
    }

    /// Returns what is told of errors while the device runs.
    pub(super) fn watch(
        &self,
        counters: &Arc<DeviceCounters>,
    ) -> impl FnMut(cpal::Error) + Send + 'static {
        let (counters, kind) = (counters.clone(), self.kind);
        move |error| {
            DeviceCounters::count(&counters.errors);
            tracing::warn!(%kind, %error, "sound device");
        }
    }
}

/// Returns what a range of shapes costs to use, the less the better, and the best of it.
fn suits(range: &SupportedStreamConfigRange) -> Option<(u32, SampleFormat, StreamConfig)> {
    let format = range.sample_format();
    let format_cost = match format {
        SampleFormat::F32 => 0,
        SampleFormat::I16 => 1,
        SampleFormat::I32 => 2,
        _ => return None,
    };
    let rates = range.min_sample_rate()..=range.max_sample_rate();
    let (place, rate) = RATES_HZ.iter().enumerate().find(|(_, rate)| rates.contains(rate))?;
    let channels = range.channels();
    let config = StreamConfig { channels, sample_rate: *rate, buffer_size: BufferSize::Default };
    Some((place as u32 * 10_000 + u32::from(channels) * 10 + format_cost, format, config))
}

fn name_of(device: &Device) -> Option<String> {
    device.id().ok().map(|id| id.id().to_owned())
}

fn unusable(kind: DeviceKind, name: &str, error: &cpal::Error) -> DeviceError {
    DeviceError::Unusable { kind, name: name.to_owned(), reason: error.to_string() }
}

/// Rates that are used, best first; a frame is whole samples at each.
const RATES_HZ: [u32; 5] = [SAMPLE_RATE_HZ, 96_000, 44_100, 32_000, 16_000];

/// Devices that are listed at most.
const DEVICES_MAX: usize = 256;
