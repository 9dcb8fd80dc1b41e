//! Why a device cannot be used.

use super::DeviceKind;

/// A device cannot be used. Each message names the device and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// There is no device of that name.
    #[error("there is no {kind} named {name:?}; `sabha devices` lists what there is")]
    Unknown {
        /// What was looked for.
        kind: DeviceKind,
        /// Its name.
        name: String,
    },
    /// The system gives no devices at all.
    #[error("the system lists no sound devices: {reason}; check that ALSA is set up")]
    NoList {
        /// What the system said.
        reason: String,
    },
    /// The system refuses the device.
    #[error(
        "cannot use the {kind} {name:?}: {reason}; check that it is plugged in, free, and yours to \
         use (group audio), or choose another of `sabha devices`"
    )]
    Unusable {
        /// Which way.
        kind: DeviceKind,
        /// Its name.
        name: String,
        /// What the system said.
        reason: String,
    },
    /// The device offers nothing that can be converted.
    #[error("the {kind} {name:?} offers no rate and sample format that is known; choose another")]
    NoFormat {
        /// Which way.
        kind: DeviceKind,
        /// Its name.
        name: String,
    },
}
