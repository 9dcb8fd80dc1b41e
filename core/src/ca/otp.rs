//! One-time passwords: how they look, and what the CA keeps of them.

use aws_lc_rs::{constant_time::verify_slices_are_equal, rand};
use data_encoding::{Encoding, Specification};
use zeroize::Zeroizing;

use crate::{domain::Domain, identity::UserId};

/// A one-time password as it is mailed: two groups of five characters, 50 random bits.
///
/// Crockford's base 32 has no I, L, O or U, so nothing in it can be mistaken for another.
pub(crate) fn generate() -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 7]);
    rand::fill(&mut *bytes).ok()?;
    let text = Zeroizing::new(crockford().encode(&*bytes));
    Some(Zeroizing::new(format!("{}-{}", &text[..5], &text[5..10])))
}

/// What the CA stores of a password: enough to check it, not to know it.
pub(crate) struct OtpHash {
    pub salt: [u8; 16],
    pub hash: [u8; 32],
}

impl OtpHash {
    /// Hashes a new password with fresh salt.
    pub(crate) fn new(user: &UserId, otp: &str) -> Option<Self> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).ok()?;
        Some(Self { salt, hash: hash(user, otp, &salt) })
    }

    /// Compares in constant time; blanks, dashes, case and look-alikes do not matter.
    pub(crate) fn is_of(&self, user: &UserId, otp: &str) -> bool {
        verify_slices_are_equal(&self.hash, &hash(user, otp, &self.salt)).is_ok()
    }
}

fn hash(user: &UserId, otp: &str, salt: &[u8]) -> [u8; 32] {
    let normal = Zeroizing::new(normalise(otp));
    Domain::OTP.sha256(&[salt, user.as_str().as_bytes(), normal.as_bytes()])
}

fn normalise(otp: &str) -> String {
    let significant = otp.chars().filter(|c| !matches!(c, ' ' | '-' | '\t' | '\r' | '\n'));
    let read = significant.map(|c| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    });
    read.take(OTP_CHARS_MAX).collect()
}

fn crockford() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    specification.encoding().unwrap_or(data_encoding::BASE32_NOPAD)
}

/// Tries that a password allows; the sixth is refused even if it is right.
pub(crate) const TRIES_MAX: u32 = 5;
/// Characters of a typed password that are looked at.
const OTP_CHARS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_have_two_groups() {
        let (first, second) = (generate().unwrap(), generate().unwrap());
        assert_ne!(*first, *second);
        assert_eq!((first.len(), first.find('-')), (11, Some(5)));
        assert!(!first.contains(['I', 'L', 'O', 'U']), "{}", *first);
    }

    #[test]
    fn typing_variants_are_read_and_others_refused() {
        let user = UserId::new("a@b.org").unwrap();
        let stored = OtpHash::new(&user, "AB0C1-23456").unwrap();
        for typed in ["AB0C1-23456", "ab0c123456", " aboci 23456\n", "ABOCL-23456"] {
            assert!(stored.is_of(&user, typed), "{typed}");
        }
        assert!(!stored.is_of(&user, "AB0C1-23457"));
        assert!(!stored.is_of(&UserId::new("c@b.org").unwrap(), "AB0C1-23456"));
    }
}
