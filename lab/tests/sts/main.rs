//! The STS emulator, as its clients see it.
#![allow(clippy::unwrap_used, reason = "a test's helpers may panic as the tests do")]
mod answers;
mod clients;
mod faults;
mod proxy;
mod signatures;
mod support;
mod tls;
