//! The numbers of an RTP header, which wrap.

/// A packet's sequence number; grows by one for each packet and wraps. RFC 3550 section 5.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// Returns the number that follows this one.
    pub const fn next(self) -> Self {
        self.wrapping_add(1)
    }

    /// Returns the number `count` packets later.
    pub const fn wrapping_add(self, count: u16) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// Returns how many packets this number lies after `other`; negative if before.
    ///
    /// Right while the two are less than 32,768 packets apart; exactly that far counts as before.
    pub const fn distance_from(self, other: Self) -> i16 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// Tells whether this number is later than `other`, under the same bound.
    pub const fn is_after(self, other: Self) -> bool {
        self.distance_from(other) > 0
    }
}

/// A sampling instant in units of the payload's clock; wraps. RFC 3550 section 5.1.
///
/// Opus counts at 48 kHz whatever it codes (RFC 7587 section 4.1): a 20 ms frame is 960 units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// Returns the instant `units` later.
    pub const fn wrapping_add(self, units: u32) -> Self {
        Self(self.0.wrapping_add(units))
    }

    /// Returns how many units this instant lies after `other`; negative if before.
    ///
    /// Right while the two are less than 2^31 units apart, 12 hours at 48 kHz.
    pub const fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// A payload type, 0 to 127; what it means is agreed by signalling. RFC 3550 section 5.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PayloadType(pub u8);
