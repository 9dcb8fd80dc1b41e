//! Sabha transport.
