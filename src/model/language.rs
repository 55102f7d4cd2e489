//! A causal language model: a transformer that predicts the next token at every position.

use super::Model;
use crate::dsl::{GraphBuilder, ModelErrors, Step, Tensor, TypeSpec, i32, normal};
use crate::nn::{Dense, Dropout, Embedding, Layer, LayerId, LayerNorm, LearnedPositions, TiedHead, TransformerBlock};
use ir::Loc;

/// A transformer over tokens (Radford et al., "Language Models are Unsupervised Multitask Learners", 2019): embedding, learned positions, causal
/// pre-normalized blocks, a last normalization, logits of the vocabulary. Input `x i32[context]`; the output is `[context, vocabulary]`, so that
/// [`crate::nn::SparseCategoricalCrossEntropy`] with the next token of each position as target is the loss: natural logarithms per token.
///
/// ```
/// use gradc::model::{LanguageModel, Model};
/// let model = LanguageModel::new(65, 32).width(16).heads(2).layers(1).tied(true);
/// assert_eq!(model.summary().unwrap().rows.last().unwrap().output, [32, 65]);
/// assert_eq!(model.next_token_graph(1).unwrap().graph.outputs()[0].0, "logits");
/// ```
#[derive(Clone, Debug)]
pub struct LanguageModel {
    pub(super) id: LayerId,
    vocabulary: usize,
    context: usize,
    width: usize,
    heads: usize,
    layers: usize,
    dropout: f64,
    tied: bool,
}

/// The deviation of initial weights, GPT-2's.
const DEVIATION: f64 = 0.02;

impl LanguageModel {
    /// Over that many tokens, for texts of `context` tokens; 4 blocks of width 128 with 4 heads, no dropout, a head of its own. Weights are normal
    /// with a deviation of 0.02.
    pub fn new(vocabulary: usize, context: usize) -> Self {
        Self { id: LayerId::new(), vocabulary, context, width: 128, heads: 4, layers: 4, dropout: 0.0, tied: false }
    }

    /// With another width, which the heads must divide.
    pub fn width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// With another number of heads.
    pub fn heads(mut self, heads: usize) -> Self {
        self.heads = heads;
        self
    }

    /// With another number of blocks.
    pub fn layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// With dropout of embeddings, attention weights and what blocks add.
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// Whether the head uses the embedding's table (arXiv 1608.05859).
    pub fn tied(mut self, tied: bool) -> Self {
        self.tied = tied;
        self
    }

    /// How many tokens a text has at most.
    pub fn context(&self) -> usize {
        self.context
    }

    /// One position at a time, for `batch` texts side by side: inputs `x i32[batch, 1]`, the texts' tokens at the position `position` (`i32[1]`), output
    /// `logits [batch, vocabulary]` of the tokens after it. The weights have the same names as those of all other graphs of the model; keys and values of the
    /// positions before are states beside them (see [`crate::nn::MultiHeadAttention::apply_at`]), so that positions are fed in order from 0. One that is
    /// not below the context ends the run with an error.
    ///
    /// # Errors
    /// All rules that the model breaks.
    #[track_caller]
    pub fn next_token_graph(&self, batch: usize) -> Result<Step, ModelErrors> {
        let g = GraphBuilder::new(format!("{}_next_token", self.name()));
        g.at(Loc::caller(), || {
            let (x, position) = (g.input("x", i32([batch, 1])), g.input("position", i32([1])));
            let x = self.positions().apply_at(&self.embedding().apply(&x), &position);
            let x = (0..self.layers).fold(x, |x, _| self.block().apply_at(&x, &position, self.context));
            g.output("logits", &self.head(&x).squeeze([1]));
        });
        g.finish()
    }

    fn embedding(&self) -> Embedding {
        Embedding::new(self.vocabulary, self.width).initializer(normal(0.0, DEVIATION))
    }

    fn positions(&self) -> LearnedPositions {
        LearnedPositions::new(self.context).initializer(normal(0.0, DEVIATION))
    }

    fn block(&self) -> TransformerBlock {
        let block = TransformerBlock::new(self.heads).causal(true).dropout(self.dropout);
        block.kernel_initializer(normal(0.0, DEVIATION))
    }

    #[track_caller]
    fn head(&self, x: &Tensor) -> Tensor {
        let x = LayerNorm::new().epsilon(1e-5).apply(x);
        if self.tied {
            TiedHead::new("embedding").apply(&x)
        } else {
            Dense::new(self.vocabulary).use_bias(false).kernel_initializer(normal(0.0, DEVIATION)).apply(&x)
        }
    }
}

impl Model for LanguageModel {
    fn name(&self) -> &str {
        "language_model"
    }

    fn inputs(&self) -> Vec<(String, TypeSpec)> {
        vec![("x".into(), i32([self.context]))]
    }

    fn forward(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        let x = self.positions().apply(&self.embedding().apply(&inputs[0]));
        let x = if self.dropout == 0.0 { x } else { Dropout::new(self.dropout).apply(&x) };
        vec![self.head(&(0..self.layers).fold(x, |x, _| self.block().apply(&x)))]
    }
}
