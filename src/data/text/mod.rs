//! Texts: tokens, vocabularies, batches of ids, and two corpora to train on. With the feature `tokenizers` also the tokens of pretrained models, from their files `tokenizer.json`.
//!
//! ```
//! use gradc::data::text::{Encoder, Rule, Vocabulary};
//! let texts = ["Call me Ishmael.", "Call me!"];
//! let vocabulary = Vocabulary::build(Rule::Words, texts, 100)?;
//! let encoded = Encoder::new(4).encode(&vocabulary, ["Call Ahab."])?;
//! // 0 is padding, 1 a word that the vocabulary doesn't have.
//! assert_eq!(encoded.ids, [2, 1, 0, 0]);
//! # Ok::<(), gradc::data::text::TextError>(())
//! ```

mod encode;
mod error;
mod novel;
mod rule;
mod spam;
#[cfg(feature = "tokenizers")]
mod tokenizer;
mod tsv;
mod vocabulary;
mod windows;

pub use encode::{Encoded, Encoder, Side, TokenIds};
pub use error::TextError;
pub use novel::{NOVEL, novel};
pub use rule::Rule;
pub use spam::{SPAM, SPAM_CLASSES, spam};
#[cfg(feature = "tokenizers")]
pub use tokenizer::Tokenizer;
pub use tsv::{Labelled, read_labelled};
pub use vocabulary::{PADDING, UNKNOWN, Vocabulary};
pub use windows::next_token_windows;

#[cfg(test)]
mod tests;
