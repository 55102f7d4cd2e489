//! MiniLM, a small pretrained model of sentences (Wang et al., arXiv 2002.10957; Reimers and Gurevych, "Sentence-BERT", arXiv 1908.10084): vectors that point the same way where sentences mean
//! the same. `scripts/fetch_minilm.sh data/minilm` fetches it.

use gradc::data::text::{Encoder, TextError, Tokenizer};
use gradc::io::{Convention, WeightRules};
use gradc::nn::UnitNorm;
use gradc::prelude::*;

/// Extent of a sentence's vector.
pub(crate) const WIDTH: usize = 384;
/// Where its files lie.
pub(crate) const FOLDER: &str = "data/minilm";

const LAYERS: usize = 6;
const HEADS: usize = 12;
/// Tokens, and positions of one sentence, that it knows.
const EXTENTS: [usize; 2] = [30_522, 512];
/// What its normalizations add under the root.
const EPSILON: f64 = 1e-12;

/// The network, for sentences of so many tokens: `ids`, `mask` and `types` to vectors of length 1.
pub(crate) fn body(length: usize) -> Functional {
    let inputs = [("ids", i32([length])), ("mask", TypeSpec::new(DType::Bool, [length])), ("types", i32([length]))];
    Functional::with_inputs(inputs, |x| {
        let words = Embedding::new(EXTENTS[0], WIDTH).name("word_embeddings").apply(&x[0]);
        let words = LearnedPositions::new(EXTENTS[1]).name("position_embeddings").apply(&words);
        let words = words + Embedding::new(2, WIDTH).name("token_type_embeddings").apply(&x[2]);
        let mut x = LayerNorm::new().epsilon(EPSILON).name("norm").apply(&words.with_mask(&x[1]));
        for i in 0..LAYERS {
            let block = TransformerBlock::new(HEADS).normalize_first(false).epsilon(EPSILON);
            x = block.name(&format!("layer_{i}")).apply(&x);
        }
        UnitNorm.apply(&GlobalAvgPool1d.apply(&x))
    })
    .named("minilm")
}

/// What the network's tensors are called in the file.
pub(crate) fn rules() -> WeightRules {
    WeightRules::new(Convention::PyTorch)
        .rename("embeddings.LayerNorm.*", "norm.{1}")
        .rename("embeddings.*", "{1}")
        .rename("encoder.layer.*.attention.self.*", "layer_{1}.attention.{2}")
        .rename("encoder.layer.*.attention.output.dense.*", "layer_{1}.attention.output.{2}")
        .rename("encoder.layer.*.attention.output.LayerNorm.*", "layer_{1}.norm1.{2}")
        .rename("encoder.layer.*.intermediate.dense.*", "layer_{1}.dense1.{2}")
        .rename("encoder.layer.*.output.dense.*", "layer_{1}.dense2.{2}")
        .rename("encoder.layer.*.output.LayerNorm.*", "layer_{1}.norm2.{2}")
        .ignore("pooler.*")
}

/// Sentences as the network's inputs.
pub(crate) fn sentences<'t>(
    tokenizer: &Tokenizer,
    length: usize,
    texts: impl IntoIterator<Item = &'t str>,
) -> Result<Dataset, TextError> {
    let rows = Encoder::new(length).encode(tokenizer, texts)?;
    Ok(Dataset::of("ids", rows.column()?).with("mask", rows.mask_column()?)?.with("types", rows.type_column()?)?)
}
