//! SHA-256 of a certificate, by which people and keys refer to it.

use crate::domain::sha256;
use crate::hex32::hex32;

hex32! {
    /// SHA-256 over a certificate's DER.
    Fingerprint, "a fingerprint"
}

impl Fingerprint {
    /// Returns the fingerprint of a certificate in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(sha256(der))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_and_upper_case_are_read() {
        let plain = Fingerprint([0xab; 32]);
        let colons = ["AB"; 32].join(":");
        assert_eq!(colons.parse(), Ok(plain));
        assert_eq!(plain.to_string().parse(), Ok(plain));
    }

    #[test]
    fn short_text_is_refused() {
        assert!("abcd".parse::<Fingerprint>().is_err());
    }
}
