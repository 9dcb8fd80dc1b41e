//! The tests that run for each back end.

mod batch;
mod commands;
pub mod common;
mod echo;
mod gather;
mod gso;
mod load;
mod receive;
mod rounds;
mod timeouts;
