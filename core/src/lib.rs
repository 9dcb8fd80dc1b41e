//! Sabha core.
