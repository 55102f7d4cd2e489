//! The embedding layer, and the output head that shares its table.

use super::{Layer, LayerId, weight};
use crate::dsl::{Initializer, Tensor, TypeSpec, uniform, zeros};
use ir::DType;

/// Rows of a trainable table: integers `[batch, ...]` (`i32` or `i64`) to `[batch, ..., width]`; table `[vocabulary, width]`. An integer
/// that is not in the vocabulary ends the run with an error.
#[derive(Clone, Debug)]
pub struct Embedding {
    vocabulary: usize,
    width: usize,
    name: String,
    id: LayerId,
    dtype: DType,
    initializer: Initializer,
    mask_zero: bool,
    sparse: bool,
}

impl Embedding {
    /// With Keras's defaults: `f32`, uniform on ±0.05.
    pub fn new(vocabulary: usize, width: usize) -> Self {
        Self {
            vocabulary,
            width,
            name: "embedding".into(),
            id: LayerId::new(),
            dtype: DType::F32,
            initializer: uniform(-0.05, 0.05),
            mask_zero: false,
            sparse: false,
        }
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

    /// Whether 0 is no word but fills a sequence: the result says which steps count ([`Tensor::mask`]); see [`crate::nn::layer`].
    pub fn mask_zero(mut self, on: bool) -> Self {
        self.mask_zero = on;
        self
    }

    /// Whether an optimizer that can (see [`crate::optim::Optimizer::update_rows`]) updates only the rows that a batch uses, row by row, as PyTorch's `sparse=True`. A row that
    /// is used several times in a batch is moved once for each use, which rounds otherwise than moving it once by the sum. With other optimizers, with clipped or accumulated
    /// gradients, whose sum over all uses of a row must be known first, and where the table is used elsewhere too ([`TiedHead`]), the update is that of the whole table.
    pub fn sparse(mut self, on: bool) -> Self {
        self.sparse = on;
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

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let ty = TypeSpec::new(self.dtype, [self.vocabulary, self.width]);
        let state = format!("{name}/embeddings");
        let rows = x.builder().param(&state, ty, self.initializer.clone()).gather(x);
        if self.sparse {
            x.builder().update_by_rows(&state, &rows);
        }
        // The rows are rounded by a policy, not the table: gradients of a row that is used several times are summed unrounded.
        let rows = rows.in_compute_dtype();
        if self.mask_zero && x.shape().is_some_and(|shape| shape.rank() == 2) { rows.with_mask(&x.ne(0)) } else { rows }
    }
}

/// The logits of each row of an [`Embedding`]'s table: `x · tableᵀ`, `[batch, ..., width]` to `[batch, ..., vocabulary]` (Press and Wolf,
/// "Using the Output Embedding to Improve Language Models", arXiv 1608.05859). The table is one parameter, trained by both uses.
///
/// ```
/// use gradc::dsl::{i32, GraphBuilder};
/// use gradc::nn::{Embedding, Layer, TiedHead};
/// let g = GraphBuilder::new("tied");
/// let h = Embedding::new(65, 16).apply(&g.input("x", i32([4, 8])));
/// g.output("logits", &TiedHead::new("embedding").apply(&h));
/// assert_eq!(g.finish().unwrap().parameter_count(), 65 * 16);
/// ```
#[derive(Clone, Debug)]
pub struct TiedHead {
    embedding: String,
    id: LayerId,
    use_bias: bool,
}

impl TiedHead {
    /// With the table of the embedding layer of that (unique) name, which must have been applied before; no bias. Inside a layer or a model the name is one of the layers beside
    /// this one, or else of those around: `embedding` in `decoder` is `decoder/embedding`, if there is one.
    pub fn new(embedding: &str) -> Self {
        Self { embedding: embedding.into(), id: LayerId::new(), use_bias: false }
    }

    /// With or without a bias `[vocabulary]`, zero at first.
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }
}

impl TiedHead {
    /// The table of the embedding that is nearest to the head of that path.
    fn table(&self, x: &Tensor, path: &str) -> Option<Tensor> {
        let around = path.rmatch_indices('/').map(|(end, _)| &path[..=end]).chain([""]);
        around.into_iter().find_map(|around| x.builder().find_state(&format!("{around}{}/embeddings", self.embedding)))
    }
}

impl Layer for TiedHead {
    fn base(&self) -> &str {
        "tied_head"
    }

    fn kind(&self) -> &str {
        "TiedHead"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let Some(table) = self.table(x, name) else {
            return x.fail("tied_head", format!("no layer {:?} with a table was applied before", self.embedding));
        };
        let table = table.in_compute_dtype();
        let (Some(ty), Some(table_ty)) = (x.ty(), table.ty()) else { return x.poisoned() };
        let rank = ty.shape.rank();
        if rank < 2 || ty.dtype != table_ty.dtype || ty.shape[rank - 1] != table_ty.shape[1] {
            let rule = "the input must be [batch, ..., width] with the table's width and element type";
            return x.builder().fail("tied_head", &[x, &table], rule);
        }
        let y = x.dot_general(&table, [], [(rank - 1, 1)]).with_mask_of(x);
        if self.use_bias { y + weight(x, name, "bias", &[table_ty.shape[0]], &zeros()) } else { y }
    }
}
