//! Files of weights, of models and of graphs: safetensors and NumPy's, written atomically, read with distrust.
//!
//! A tensor's name is its state's: `dense/kernel`, `adam/m/dense/kernel`.

mod arrange;
mod atomic;
mod error;
mod graph_file;
mod model_file;
mod npy;
mod npz;
mod rules;
mod safetensors;
mod tensor_file;
#[cfg(test)]
mod tests;

pub(crate) use atomic::remove_leftovers;
use atomic::write_atomically_by;
pub use atomic::{check_destination, write_atomically};
pub use error::IoError;
pub use graph_file::{GraphFileError, SaveGraph};
pub(crate) use model_file::{is_graph, save_graphs};
pub use model_file::{load_model, load_steps, save_model};
pub use npz::{save_npy, save_npz};
pub use rules::{Convention, LoadReport, SaveReport, UsedTensor, WeightRules};
pub(crate) use safetensors::RESERVED;
#[cfg(test)]
pub(crate) use safetensors::seal;
pub use safetensors::{MAX_HEADER, load_metadata, load_tensors, save_tensors, save_with_metadata, select};
pub use tensor_file::TensorFile;
