//! Tests of the feature `tokenizers`: files of tokenizers, and a pretrained model that reads texts by one.
#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

mod files;
#[path = "../../examples/support/minilm.rs"]
mod minilm;
mod sentences;
