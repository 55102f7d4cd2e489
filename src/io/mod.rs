//! Files of weights: safetensors, written atomically, read with distrust.
//!
//! A tensor's name is its state's: `dense/kernel`, `adam/m/dense/kernel`.

mod atomic;
mod error;
mod safetensors;
mod tensor_file;

pub(crate) use atomic::remove_leftovers;
pub use atomic::{check_destination, write_atomically};
pub use error::IoError;
pub(crate) use safetensors::RESERVED;
#[cfg(test)]
pub(crate) use safetensors::seal;
pub use safetensors::{MAX_HEADER, load_metadata, load_tensors, save_sealed, save_tensors, save_with_metadata, select};
pub use tensor_file::TensorFile;
