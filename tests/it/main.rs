//! The integration tests: one binary, so that they link once.

mod autodiff;
mod filetests;
mod oracle;
