//! What a jitter buffer counts.

/// What became of a stream's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterCounters {
    /// Given out to be played.
    pub played: u64,
    /// Given out to be decoded only.
    pub skipped: u64,
    /// Passed over: not there when their time came.
    pub lost: u64,
    /// Concealments asked for, of a frame or less.
    pub concealed: u64,
    /// Arrived after a concealment and played late, or too late to be played.
    pub late: u64,
}

impl JitterCounters {
    /// Adds another stream's packets to these.
    pub fn add(&mut self, other: &Self) {
        self.played += other.played;
        self.skipped += other.skipped;
        self.lost += other.lost;
        self.concealed += other.concealed;
        self.late += other.late;
    }
}
