//! The transformer's block.

use super::attention::{MultiHeadAttention, Rotary};
use super::{Dense, Dropout, Layer, LayerId, LayerNorm, RmsNorm, wrong_inputs};
use crate::dsl::{Initializer, Tensor, glorot_uniform};
use crate::nn::Activation;

/// A transformer block (arXiv 1706.03762, with the normalization before each part as in Xiong et al., arXiv 2002.04745):
/// `x + attention(norm(x))`, then `x + dense(activation(dense(norm(x))))`; `[batch, length, width]` to the same. With [`Self::normalize_first`] off it is that of the first paper, and of
/// BERT: `norm(x + attention(x))`, then `norm(x + dense(activation(dense(x))))`.
///
/// Parameters: `norm1/gamma`, `norm1/beta`, `attention/...` as [`MultiHeadAttention`], `norm2/...`, `dense1/kernel [width, hidden]`,
/// `dense1/bias`, `dense2/kernel [hidden, width]`, `dense2/bias`.
///
/// Applied to two sequences, `(&x, &memory)`, it is a decoder's block: between both parts stands `x += attention(norm(x), memory)`, with the parameters `cross_norm/...` and
/// `cross_attention/...`. Masks of `x` and of `memory` hide keys.
///
/// ```
/// use gradc::dsl::{f32, GraphBuilder};
/// use gradc::nn::{Layer, TransformerBlock};
/// let g = GraphBuilder::new("translation");
/// let (source, target) = (g.input("source", f32([2, 12, 64])), g.input("target", f32([2, 9, 64])));
/// let memory = TransformerBlock::new(4).apply(&source);
/// let y = TransformerBlock::new(4).causal(true).apply((&target, &memory));
/// assert_eq!(y.shape().unwrap().dims(), [2, 9, 64]);
/// ```
///
/// ```
/// use gradc::dsl::i32;
/// use gradc::model::{Model, Sequential};
/// use gradc::nn::{Embedding, LearnedPositions, LayerNorm, TransformerBlock};
/// let block = TransformerBlock::new(4).causal(true).dropout(0.1);
/// let model = Sequential::of(i32([128]))
///     .add(Embedding::new(65, 128))
///     .add(LearnedPositions::new(128))
///     .add(block.clone())
///     .add(block)
///     .add(LayerNorm::new())
///     .dense(65);
/// assert_eq!(model.summary().unwrap().rows.len(), 6);
/// ```
#[derive(Clone, Debug)]
pub struct TransformerBlock {
    heads: usize,
    hidden: Option<usize>,
    name: String,
    id: LayerId,
    activation: Activation,
    causal: bool,
    dropout: f64,
    normalize_first: bool,
    root_mean_square: bool,
    epsilon: f64,
    rotary: Option<Rotary>,
    key_value_heads: Option<usize>,
    use_bias: bool,
    kernel_initializer: Initializer,
}

impl TransformerBlock {
    /// With that many heads, which must divide the width; 4 times as many hidden units as the width, exact GELU, layer normalization with
    /// epsilon 1e-5, biases, Glorot-uniform kernels; not causal, no dropout, no rotation.
    pub fn new(heads: usize) -> Self {
        Self {
            heads,
            hidden: None,
            name: "transformer_block".into(),
            id: LayerId::new(),
            activation: Activation::Gelu,
            causal: false,
            dropout: 0.0,
            normalize_first: true,
            root_mean_square: false,
            epsilon: 1e-5,
            rotary: None,
            key_value_heads: None,
            use_bias: true,
            kernel_initializer: glorot_uniform(),
        }
    }

    /// With another name than the kind's.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// With that many hidden units between the dense layers.
    pub fn hidden(mut self, units: usize) -> Self {
        self.hidden = Some(units);
        self
    }

    /// With another activation between the dense layers.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Whether a position sees only itself and those before it.
    pub fn causal(mut self, causal: bool) -> Self {
        self.causal = causal;
        self
    }

    /// With dropout of the attention weights and of what is added to `x`, at a rate from 0 up to, but not including, 1.
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// Whether normalization comes before each part, or after its result has been added to `x`; PyTorch's `norm_first`.
    pub fn normalize_first(mut self, first: bool) -> Self {
        self.normalize_first = first;
        self
    }

    /// With [`RmsNorm`] in place of [`LayerNorm`].
    pub fn root_mean_square(mut self, root_mean_square: bool) -> Self {
        self.root_mean_square = root_mean_square;
        self
    }

    /// What the normalizations add under the root.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// With queries and keys rotated by their positions.
    pub fn rotary(mut self, rotary: Rotary) -> Self {
        self.rotary = Some(rotary);
        self
    }

    /// With fewer heads of keys and values: see [`MultiHeadAttention::key_value_heads`].
    pub fn key_value_heads(mut self, heads: usize) -> Self {
        self.key_value_heads = Some(heads);
        self
    }

    /// With or without biases in attention and dense layers.
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// With another initial value of all kernels.
    pub fn kernel_initializer(mut self, initializer: Initializer) -> Self {
        self.kernel_initializer = initializer;
        self
    }

    /// The block of one new position, `[batch, 1, width]`, after those whose keys and values are kept: see [`MultiHeadAttention::apply_at`].
    #[track_caller]
    pub fn apply_at(&self, x: &Tensor, position: &Tensor, capacity: usize) -> Tensor {
        x.builder().layer(self.id(), self.base(), self.kind(), |name| {
            self.block(x, None, name, |attention, x, name| attention.call_at(x, name, position, capacity))
        })
    }

    /// [`TransformerBlock::apply_at`] of a decoder's block, which also attends to `memory [batch, length, width]`.
    #[track_caller]
    pub fn apply_across_at(&self, x: &Tensor, memory: &Tensor, position: &Tensor, capacity: usize) -> Tensor {
        x.builder().layer(self.id(), self.base(), self.kind(), |name| {
            self.block(x, Some(memory), name, |attention, x, name| attention.call_at(x, name, position, capacity))
        })
    }

    /// The parts of the block, the attention to itself computed by `attend`.
    #[track_caller]
    fn block(
        &self,
        x: &Tensor,
        memory: Option<&Tensor>,
        name: &str,
        attend: impl Fn(&MultiHeadAttention, &Tensor, &str) -> Tensor,
    ) -> Tensor {
        let width = match super::window::sequence(&self.name, x) {
            Ok(ty) => ty.shape[2],
            Err(poisoned) => return poisoned,
        };
        if self.heads == 0 || !width.is_multiple_of(self.heads) {
            return x.fail(&self.name, format!("{} heads must divide the width {width}", self.heads));
        }
        let part = |part: &str| format!("{name}/{part}");
        let attention = self.attention(width);
        let x = self.residual(x, name, "norm1", |x| attend(&attention, x, &part("attention")));
        let x = memory.map_or_else(|| x.clone(), |memory| self.across(&x, memory, width, name));
        self.residual(&x, name, "norm2", |x| {
            let hidden = self.dense(self.hidden.unwrap_or(4 * width)).activation(self.activation);
            self.dense(width).call(&hidden.call(x, &part("dense1")), &part("dense2"))
        })
    }

    /// `x` and what a part of the block makes of it, with the normalization `norm` before or after.
    #[track_caller]
    fn residual(&self, x: &Tensor, name: &str, norm: &str, part: impl Fn(&Tensor) -> Tensor) -> Tensor {
        let norm = format!("{name}/{norm}");
        if self.normalize_first {
            x + self.drop(&part(&self.norm(x, &norm)), name)
        } else {
            self.norm(&(x + self.drop(&part(x), name)), &norm)
        }
    }

    /// What the attention to `memory` makes of `x`.
    #[track_caller]
    fn across(&self, x: &Tensor, memory: &Tensor, width: usize, name: &str) -> Tensor {
        let attention = self.plain_attention(width).causal(false);
        self.residual(x, name, "cross_norm", |x| {
            attention.call_many(&[x.clone(), memory.clone()], &format!("{name}/cross_attention")).swap_remove(0)
        })
    }

    fn attention(&self, width: usize) -> MultiHeadAttention {
        let attention = self.plain_attention(width);
        match self.rotary {
            Some(rotary) => attention.rotary(rotary),
            None => attention,
        }
    }

    /// Without rotations, which are of one sequence's positions.
    fn plain_attention(&self, width: usize) -> MultiHeadAttention {
        let attention = MultiHeadAttention::new(self.heads, width / self.heads)
            .causal(self.causal)
            .dropout(self.dropout)
            .use_bias(self.use_bias)
            .kernel_initializer(self.kernel_initializer.clone());
        match self.key_value_heads {
            Some(heads) => attention.key_value_heads(heads),
            None => attention,
        }
    }

    fn dense(&self, units: usize) -> Dense {
        Dense::new(units).use_bias(self.use_bias).kernel_initializer(self.kernel_initializer.clone())
    }

    #[track_caller]
    fn norm(&self, x: &Tensor, name: &str) -> Tensor {
        if self.root_mean_square {
            RmsNorm::new().epsilon(self.epsilon).call(x, name)
        } else {
            LayerNorm::new().epsilon(self.epsilon).call(x, name)
        }
    }

    #[track_caller]
    fn drop(&self, x: &Tensor, name: &str) -> Tensor {
        if self.dropout == 0.0 { x.clone() } else { Dropout::new(self.dropout).call(x, name) }
    }
}

impl Layer for TransformerBlock {
    fn base(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        "TransformerBlock"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        self.block(x, None, name, MultiHeadAttention::call)
    }

    #[track_caller]
    fn call_many(&self, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
        match inputs {
            [x] => vec![self.call(x, name)],
            [x, memory] => vec![self.block(x, Some(memory), name, MultiHeadAttention::call)],
            _ => wrong_inputs(&self.name, inputs, "one sequence, or one and what it attends to"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsl::{GraphBuilder, constant, f64};
    use crate::nn::layer::attention::tests::{Extents, attend, columns, linear};
    use crate::nn::tests::phi;
    use crate::testing::{assert_close, check_gradients, random_runner};

    fn input(g: &GraphBuilder) -> Tensor {
        g.param("x", f64([2, 3, 4]), constant(0.0))
    }

    fn normalized(x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
        let row = |row: &[f64]| {
            let mean = row.iter().sum::<f64>() / 4.0;
            let variance = row.iter().map(|v| v * v).sum::<f64>() / 4.0 - mean * mean;
            let affine = |(i, v): (usize, &f64)| (v - mean) / (variance + 1e-5).sqrt() * gamma[i] + beta[i];
            row.iter().enumerate().map(affine).collect::<Vec<f64>>()
        };
        x.chunks(4).flat_map(row).collect()
    }

    #[test]
    fn a_block_is_its_parts() {
        let block = TransformerBlock::new(2).causal(true).hidden(5);
        let mut runner = random_runner(&|g| block.apply(&input(g)));
        let state = |part: &str| runner.state(&format!("transformer_block/{part}"));
        let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f64>>();
        let dense =
            |x: &[f64], part: &str| linear(x, &state(&format!("{part}/kernel")), &state(&format!("{part}/bias")));
        let norm =
            |x: &[f64], part: &str| normalized(x, &state(&format!("{part}/gamma")), &state(&format!("{part}/beta")));
        let one = |x: &[f64]| {
            let qkv = dense(&norm(x, "norm1"), "attention/qkv");
            let part = |i| columns(&qkv, 12, i, 3);
            let y = attend(Extents(3, 3, 2, 2), [&part(0), &part(1), &part(2)], &|i, j| j <= i);
            let x = sum(x, &dense(&y, "attention/output"));
            let hidden: Vec<f64> = dense(&norm(&x, "norm2"), "dense1").iter().map(|&v| v * phi(v)).collect();
            sum(&x, &dense(&hidden, "dense2"))
        };
        let want: Vec<f64> = runner.state("x").chunks(12).flat_map(one).collect();
        assert_close(&runner.step(&[])["y"].to_f64_vec(), &want, 1e-10);
    }

    #[test]
    fn a_block_can_normalize_afterwards() {
        let block = TransformerBlock::new(2).hidden(5).normalize_first(false);
        let mut runner = random_runner(&|g| block.apply(&input(g)));
        let y = runner.step(&[])["y"].to_f64_vec();
        // Whatever its parts make, the last step is a normalization: without its gain and shift rows have mean 0 and variance 1.
        let (gamma, beta) =
            (runner.state("transformer_block/norm2/gamma"), runner.state("transformer_block/norm2/beta"));
        for row in y.chunks(4) {
            let plain: Vec<f64> =
                row.iter().zip(&gamma).zip(&beta).map(|((y, gamma), beta)| (y - beta) / gamma).collect();
            let square = plain.iter().map(|v| v * v).sum::<f64>() / 4.0;
            assert!(plain.iter().sum::<f64>().abs() < 1e-9 && (square - 1.0).abs() < 1e-2, "{plain:?}");
        }
        check_gradients(|g| block.apply(&input(g)));
    }

    #[test]
    fn gradients_are_difference_quotients() {
        check_gradients(|g| TransformerBlock::new(2).causal(true).hidden(3).apply(&input(g)));
        let other = TransformerBlock::new(1).root_mean_square(true).activation(Activation::Silu).use_bias(false);
        let other = other.hidden(2).rotary(Rotary::default());
        check_gradients(|g| other.apply(&input(g)));
    }
}
