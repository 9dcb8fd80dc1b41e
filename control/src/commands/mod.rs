//! What each command of `sabha` does.

pub mod ca;
pub mod devices;
pub mod enroll;
pub mod host;
pub mod join;
mod niceness;
pub mod node;
