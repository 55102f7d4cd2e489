//! The server over connections, as clients have it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that can't go on fails")]

mod access;
mod batching;
mod conformance;
mod hostile;
mod page;
mod reload;
mod support;
mod tensorflow;
#[cfg(feature = "tls")]
mod tls;
mod v2;
