//! Sabha control.
