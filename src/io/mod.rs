//! Files of weights: safetensors, written atomically, read with distrust.
//!
//! A tensor's name is its state's: `dense/kernel`, `adam/m/dense/kernel`.

mod atomic;
mod error;
mod safetensors;

pub use atomic::{check_destination, write_atomically};
pub use error::IoError;
pub use safetensors::{load_metadata, load_tensors, save_tensors, save_with_metadata, select};
