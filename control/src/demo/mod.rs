//! The demo: a whole network on one machine, and what it proves.

pub mod report;
