//! Sabha control.

pub mod demo;
