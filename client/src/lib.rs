//! Sabha client.
