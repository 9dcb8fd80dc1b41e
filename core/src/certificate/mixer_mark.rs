//! The extension that lets a device mix or bridge.

use crate::unix_time::UnixTime;

/// The CA's leave to own conferences, with the time since when.
///
/// In a certificate it is a non-critical extension, `SEQUENCE { nodeSince INTEGER, ... }`, in unix
/// seconds; later versions may add elements behind the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixerMark {
    /// When this key was first allowed; a node owns only conferences created later.
    pub node_since: UnixTime,
}

impl MixerMark {
    /// The extension's object identifier, 2.25.1396785736.
    ///
    /// The arc 2.25 takes any UUID as its next number and needs no registration (ITU-T X.667). This
    /// UUID is 00000000-0000-0000-0000-000053414248 ("SABH" in ASCII): below 2^31, because rcgen
    /// cannot write a larger number than 64 bits and Go's X.509 reader refuses more than 31.
    pub const OID: [u64; 3] = [2, 25, 0x5341_4248];

    /// Returns the extension's DER.
    #[must_use]
    pub fn to_der(self) -> Vec<u8> {
        let mut integer = self.node_since.as_secs().to_be_bytes().to_vec();
        while integer.len() > 1 && integer[0] == 0 && integer[1] < 0x80 {
            integer.remove(0);
        }
        let len = u8::try_from(integer.len()).expect("a time before the year 9999 has 5 bytes");
        let mut der = vec![TAG_SEQUENCE, len + 2, TAG_INTEGER, len];
        der.append(&mut integer);
        der
    }

    /// Reads the extension's DER; `None` if it is not of this form.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let [TAG_SEQUENCE, sequence_len, TAG_INTEGER, len, rest @ ..] = der else { return None };
        let is_whole = usize::from(*sequence_len) == der.len() - 2 && *sequence_len < 0x80;
        let integer = rest.get(..usize::from(*len))?;
        if !is_whole || integer.is_empty() || integer.len() > 8 || integer[0] >= 0x80 {
            return None;
        }
        let secs = integer.iter().fold(0, |secs, byte| secs << 8 | u64::from(*byte));
        Some(Self { node_since: UnixTime::from_secs(secs) })
    }
}

/// DER tag of a SEQUENCE. Source: ITU-T X.690.
const TAG_SEQUENCE: u8 = 0x30;
/// DER tag of an INTEGER. Source: ITU-T X.690.
const TAG_INTEGER: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_round_trips() {
        for secs in [0, 1, 127, 128, 255, 65_535, 1_767_225_599, 253_402_300_799] {
            let mark = MixerMark { node_since: UnixTime::from_secs(secs) };
            assert_eq!(MixerMark::from_der(&mark.to_der()), Some(mark), "{secs}");
        }
    }

    #[test]
    fn further_elements_are_tolerated() {
        let der = [0x30, 0x06, 0x02, 0x01, 0x05, 0x02, 0x01, 0x09];
        assert_eq!(MixerMark::from_der(&der).unwrap().node_since.as_secs(), 5);
    }

    #[test]
    fn other_der_is_no_mark() {
        let wrong: [&[u8]; 6] = [
            &[],
            &[0x30, 0x00],
            &[0x30, 0x03, 0x02, 0x01],
            &[0x30, 0x02, 0x02, 0x00],
            &[0x30, 0x03, 0x02, 0x01, 0xff],
            &[0x02, 0x01, 0x05, 0x02, 0x01],
        ];
        for der in wrong {
            assert_eq!(MixerMark::from_der(der), None, "{der:02x?}");
        }
    }
}
