//! The layer of several heads.

use super::function::{AttentionMask, Grouped, attend, attention_weights, weighted_values};
use super::position::Rotary;
use super::relative::RelativePositionBias;
use crate::dsl::{Initializer, Tensor, glorot_uniform};
use crate::nn::layer::{Dense, Dropout, Layer, LayerId, wrong_inputs};
use std::sync::Arc;

/// Attention by several heads (arXiv 1706.03762): projections to queries, keys and values, [`super::attention`] of each head, a projection of all
/// heads' results. `[batch, length, width]` to `[batch, length, output width]`.
///
/// Parameters, as PyTorch packs them, but `[in, out]`: applied to one sequence `qkv/kernel [width, 3 heads size]` and
/// `qkv/bias [3 heads size]` (queries, then keys, then values), applied across two sequences `query/kernel [width, heads size]` and
/// `key_value/kernel [memory width, 2 heads size]` with their biases; then `output/kernel [heads size, output width]` and `output/bias`.
/// Within each part the columns of a head follow each other: column `head size + i`, so that reshaping to Keras's `[width, heads, size]`
/// moves nothing.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Layer, MultiHeadAttention};
/// let g = GraphBuilder::new("attention");
/// let (text, image) = (g.input("text", f32([2, 12, 64])), g.input("image", f32([2, 49, 96])));
/// let text = MultiHeadAttention::new(4, 16).causal(true).apply(&text);
/// let y = MultiHeadAttention::new(4, 16).apply((&text, &image));
/// assert_eq!(y.shape().unwrap().dims(), [2, 12, 64]);
/// ```
#[derive(Clone, Debug)]
pub struct MultiHeadAttention {
    pub(super) heads: usize,
    pub(super) size: usize,
    width: Option<usize>,
    name: String,
    id: LayerId,
    causal: bool,
    use_bias: bool,
    dropout: f64,
    pub(super) rotary: Option<Rotary>,
    pub(super) bias: Option<Arc<RelativePositionBias>>,
    /// Heads of keys and values, if fewer.
    key_value_heads: Option<usize>,
    /// Queries of a block, if somebody chose.
    block: Option<usize>,
    kernel_initializer: Initializer,
}

impl MultiHeadAttention {
    /// That many heads of queries, keys and values of that size. The result is as wide as the input; not causal, biases (0 at first),
    /// Glorot-uniform kernels as they lie in memory (as in PyTorch), no dropout.
    pub fn new(heads: usize, size: usize) -> Self {
        Self {
            heads,
            size,
            width: None,
            name: "multi_head_attention".into(),
            id: LayerId::new(),
            causal: false,
            use_bias: true,
            dropout: 0.0,
            rotary: None,
            bias: None,
            key_value_heads: None,
            block: None,
            kernel_initializer: glorot_uniform(),
        }
    }

    /// With another name than the kind's.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// With results of another width than the input's.
    pub fn output_width(mut self, width: usize) -> Self {
        self.width = Some(width);
        self
    }

    /// Whether a position sees only itself and those before it.
    pub fn causal(mut self, causal: bool) -> Self {
        self.causal = causal;
        self
    }

    /// With or without biases.
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// With dropout of the attention weights, at a rate from 0 up to, but not including, 1.
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// With queries and keys rotated by their positions.
    pub fn rotary(mut self, rotary: Rotary) -> Self {
        self.rotary = Some(rotary);
        self
    }

    /// With fewer heads of keys and values, each shared by as many heads of queries that follow each other (Ainslie et al., "GQA", arXiv 2305.13245; Keras's `GroupQueryAttention`); 1 is
    /// multi-query attention (Shazeer, arXiv 1911.02150). Their number divides that of the heads. Kernels are narrower: `qkv/kernel [width, (heads + 2 key_value_heads) size]`.
    pub fn key_value_heads(mut self, heads: usize) -> Self {
        self.key_value_heads = Some(heads);
        self
    }

    /// With a learned number for each head and distance of positions added to the scores. Layers that are given the same one share its table, as T5's do.
    pub fn relative_position_bias(mut self, bias: &Arc<RelativePositionBias>) -> Self {
        self.bias = Some(Arc::clone(bias));
        self
    }

    /// With scores computed in blocks of that many queries, each again for the gradient, instead of all at once: less memory, more time. Without it a
    /// layer does so by itself where a head has more than 2^20 scores (a context above 1024), in blocks of about 2^17 scores. 0 counts as 1.
    pub fn block(mut self, queries: usize) -> Self {
        self.block = Some(queries.max(1));
        self
    }

    /// With another initial value of the kernels.
    pub fn kernel_initializer(mut self, initializer: Initializer) -> Self {
        self.kernel_initializer = initializer;
        self
    }

    /// Checks that the layer can take `x`.
    #[track_caller]
    pub(super) fn check(&self, x: &Tensor) -> Result<(), Tensor> {
        if self.heads == 0 || self.size == 0 {
            return Err(x.fail(&self.name, "the number of heads and their size must be at least 1"));
        }
        if self.heads.checked_mul(self.size).is_none_or(|width| width > isize::MAX as usize / 3) {
            let rule = format!("{} heads of {} features are more than memory can hold", self.heads, self.size);
            return Err(x.fail(&self.name, rule));
        }
        if self.key_value_heads.is_some_and(|shared| shared == 0 || !self.heads.is_multiple_of(shared)) {
            let shared = self.key_value_heads.unwrap_or(0);
            return Err(
                x.fail(&self.name, format!("{shared} heads of keys and values must divide {} heads", self.heads))
            );
        }
        crate::nn::layer::window::sequence(&self.name, x).map(|_| ())
    }

    /// How many heads queries, keys and values have.
    pub(super) fn all_heads(&self) -> [usize; 3] {
        let shared = self.key_value_heads.unwrap_or(self.heads);
        [self.heads, shared, shared]
    }

    /// Tensors `[batch, length, heads, size]` of so many heads each, by one product with the kernel `part`.
    #[track_caller]
    pub(super) fn project(&self, x: &Tensor, name: &str, part: &str, heads: &[usize]) -> Vec<Tensor> {
        let all: usize = heads.iter().sum();
        let y = self.dense(all * self.size).call(x, &format!("{name}/{part}"));
        let Some(shape) = y.shape() else { return vec![y; heads.len()] };
        let y = y.reshape([shape[0], shape[1], all, self.size].map(|d| d as isize));
        let ends = heads.iter().scan(0, |end, heads| {
            *end += heads;
            Some(*end - heads..*end)
        });
        if let [_] = heads { vec![y] } else { ends.map(|heads| y.slice_axis(2, heads)).collect() }
    }

    fn dense(&self, units: usize) -> Dense {
        Dense::new(units).use_bias(self.use_bias).kernel_initializer(self.kernel_initializer.clone())
    }

    #[track_caller]
    fn attend(&self, x: &Tensor, name: &str, [q, k, v]: [&Tensor; 3], mask: &AttentionMask) -> Tensor {
        let rotate = |t: &Tensor| self.rotary.as_ref().map_or_else(|| t.clone(), |rotary| rotary.apply(t));
        let (q, k) = (rotate(q), rotate(k));
        let mask = &match (&self.bias, q.shape(), k.shape()) {
            (Some(bias), Some(q), Some(k)) => mask.clone().bias(&bias.apply(x, q[1], k[1])),
            _ => mask.clone(),
        };
        let dropout = Dropout::new(self.dropout);
        if !x.builder().watches_attention() {
            let attended = attend([&q, &k, v], mask, &dropout, self.block);
            return self.output(x, name, &attended);
        }
        let weights = attention_weights(&q, &k, mask);
        x.builder().output_attention(name, &weights);
        let v = match k.ty().map(|k| Grouped::of(&q, &k, mask)) {
            Some(Ok(grouped)) => grouped.repeated(v),
            _ => v.clone(),
        };
        self.output(x, name, &weighted_values(&dropout.call(&weights, name), &v))
    }

    /// The projection of all heads' results `[batch, length, heads, size]`.
    #[track_caller]
    pub(super) fn output(&self, x: &Tensor, name: &str, heads: &Tensor) -> Tensor {
        let Some(shape) = x.shape() else { return x.clone() };
        let heads = heads.flatten_from(2).with_mask_of(x);
        self.dense(self.width.unwrap_or(shape[2])).call(&heads, &format!("{name}/output"))
    }
}

impl Layer for MultiHeadAttention {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "MultiHeadAttention"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        self.call_many(std::slice::from_ref(x), name).swap_remove(0)
    }

    #[track_caller]
    fn call_many(&self, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
        if let Some(poisoned) = inputs.iter().find_map(|x| self.check(x).err()) {
            return vec![poisoned];
        }
        let project = |x: &Tensor, part: &str, heads: &[usize]| self.project(x, name, part, heads);
        let all = self.all_heads();
        let (own, others) = all.split_at(1);
        let one = &others[..1];
        let (projected, keys) = match inputs {
            [x] => (project(x, "qkv", &all), x),
            [x, memory] => ([project(x, "query", own), project(memory, "key_value", others)].concat(), memory),
            [q, k, v] => ([project(q, "query", own), project(k, "key", one), project(v, "value", one)].concat(), k),
            _ => return wrong_inputs(&self.name, inputs, "one to three tensors"),
        };
        let mask = if self.causal { AttentionMask::causal() } else { AttentionMask::none() };
        let mask = keys.mask().iter().fold(mask, AttentionMask::padding);
        vec![self.attend(&inputs[0], name, [&projected[0], &projected[1], &projected[2]], &mask)]
    }
}
