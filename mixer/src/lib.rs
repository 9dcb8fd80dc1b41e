//! Sabha mixer.
