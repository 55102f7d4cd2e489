//! The server over connections, as clients have it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that can't go on fails")]

mod batching;
mod hostile;
mod reload;
mod support;
mod tensorflow;
mod v2;
