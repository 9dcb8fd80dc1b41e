//! Sabha control.

pub mod cli;
pub mod commands;
pub mod config;
pub mod coordinator;
pub mod demo;
pub mod node;
