//! Sabha client.

pub mod sound;
