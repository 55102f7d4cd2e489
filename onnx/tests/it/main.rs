//! The import's tests: the standard's own, its settings, hostile files, mutated ones.

mod backend;
mod build;
mod cases;
mod hostile;
mod settings;
