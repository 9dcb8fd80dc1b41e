//! Sabha benches.
