//! Tests of import and export: the standard's own, pretrained models, settings, operators by their values, hostile files, mutated ones, and there and back.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that can't go on fails")]

mod backend;
mod build;
mod cases;
mod export;
mod hostile;
mod models;
mod settings;
mod values;
