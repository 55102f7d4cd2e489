//! The embedding layer.

use super::Layer;
use crate::dsl::{Initializer, Tensor, TypeSpec, uniform};
use ir::DType;

/// Rows of a trainable table: integers `[batch, ...]` (`i32` or `i64`) to `[batch, ..., width]`; table `[vocabulary, width]`. An integer
/// that is not in the vocabulary ends the run with an error.
#[derive(Clone, Debug)]
pub struct Embedding {
    vocabulary: usize,
    width: usize,
    name: String,
    dtype: DType,
    initializer: Initializer,
}

impl Embedding {
    /// With Keras's defaults: `f32`, uniform on ±0.05.
    pub fn new(vocabulary: usize, width: usize) -> Self {
        Self { vocabulary, width, name: "embedding".into(), dtype: DType::F32, initializer: uniform(-0.05, 0.05) }
    }

    /// With another name than the kind's.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// With another element type.
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    /// With another initial table.
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }
}

impl Layer for Embedding {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "Embedding"
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let ty = TypeSpec::new(self.dtype, [self.vocabulary, self.width]);
        x.builder().param(&format!("{name}/embeddings"), ty, self.initializer.clone()).gather(x)
    }
}
