//! Tokens of pretrained models: files `tokenizer.json`, read by the crate `tokenizers`.

use super::encode::{TextPair, TokenRow};
use super::{Encoder, Side, TextError};
use crate::data::DataError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use tokenizers::models::ModelWrapper;
use tokenizers::utils::truncation::{TruncationDirection, TruncationParams, TruncationStrategy, truncate_encodings};
use tokenizers::{Encoding, PostProcessor, Tokenizer as Inner};

/// What errors call the rule by which a text has no token.
const RULE: &str = "tokenizer.json";
/// What padding is called where a file doesn't say.
const PADDINGS: [&str; 3] = ["[PAD]", "<pad>", "<|pad|>"];

/// How a pretrained model's texts become ids, as its file `tokenizer.json` says: parts of words by WordPiece, byte pairs or a unigram model, and what stands before and after them.
///
/// [`Encoder`] makes rows of it; where rows end is what the encoder says, not the file. Feature `tokenizers`.
///
/// ```no_run
/// use gradc::data::text::{Encoder, Tokenizer};
/// let tokenizer = Tokenizer::load("data/minilm/tokenizer.json")?;
/// let encoded = Encoder::new(8).encode(&tokenizer, ["The weather is lovely today."])?;
/// assert_eq!(encoded.ids, [101, 1996, 4633, 2003, 8403, 2651, 1012, 102]);
/// # Ok::<(), gradc::data::text::TextError>(())
/// ```
#[derive(Clone)]
pub struct Tokenizer {
    inner: Inner,
    /// One more than the largest id.
    size: usize,
    padding: Option<i32>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({} ids, padding {:?})", self.size, self.padding)
    }
}

impl Tokenizer {
    /// Reads a file `tokenizer.json`.
    ///
    /// # Errors
    /// A file that can't be read or is no tokenizer, with the line; one without a token, or with ids beyond `i32`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TextError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| DataError::io(path, source))?;
        let wrong = |what: String| TextError::from(DataError::file(path, what));
        let mut inner = caught(|| Inner::from_bytes(&bytes)).map_err(|e| wrong(format!("no tokenizer: {e}")))?;
        let largest = inner.get_vocab(true).into_values().max().ok_or_else(|| wrong("it has no tokens".into()))?;
        let largest = i32::try_from(largest).map_err(|_| wrong(format!("the id {largest} is beyond i32")))?;
        let said = inner.get_padding().map(|padding| padding.pad_id);
        let named = || PADDINGS.into_iter().find_map(|token| inner.token_to_id(token));
        let padding = said.or_else(named).and_then(|id| i32::try_from(id).ok()).filter(|id| *id <= largest);
        // An encoder says where rows end.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| wrong(e.to_string()))?;
        Ok(Self { inner, size: largest as usize + 1, padding })
    }

    /// With another token to fill rows with; a file may have none. Any will do where a mask says which tokens count: `<|endoftext|>`.
    ///
    /// # Errors
    /// A text that is no token.
    pub fn padding_token(mut self, token: &str) -> Result<Self, TextError> {
        let id = self.id(token).ok_or_else(|| TextError::Setting(format!("the tokenizer has no token {token:?}")))?;
        self.padding = Some(id);
        Ok(self)
    }

    /// How large an embedding's table must be: one more than the largest id.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The id of a token; `None` if there is no such token.
    pub fn id(&self, token: &str) -> Option<i32> {
        self.inner.token_to_id(token).and_then(|id| i32::try_from(id).ok())
    }

    /// The token of an id, as it stands in the file: `##ing`.
    pub fn token(&self, id: i32) -> Option<String> {
        self.inner.id_to_token(u32::try_from(id).ok()?)
    }

    /// The ids of a text, with those that the tokenizer adds.
    ///
    /// # Errors
    /// If the tokenizer can't read the text: it meets what it doesn't know and has no token for that.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>, TextError> {
        let encoding = caught(|| self.inner.encode_fast(text, true)).map_err(|e| failed(0, e))?;
        Ok(numbers(encoding.get_ids()))
    }

    /// The text of ids; what the tokenizer adds is left out.
    ///
    /// # Errors
    /// An id of no token; ids of which the tokenizer can't make a text.
    pub fn decode(&self, ids: &[i32]) -> Result<String, TextError> {
        let mut known = Vec::with_capacity(ids.len());
        for (position, &id) in ids.iter().enumerate() {
            let valid = u32::try_from(id).ok().filter(|id| self.inner.id_to_token(*id).is_some());
            known.push(valid.ok_or(TextError::Id { id: id.into(), position, size: self.size })?);
        }
        caught(|| self.inner.decode(&known, true))
            .map_err(|e| TextError::Setting(format!("these ids are no text: {e}")))
    }

    /// What rows are filled with.
    pub(super) fn padding(&self, is_needed: bool) -> Result<i32, TextError> {
        let none = "the tokenizer has no token for padding: choose one by `padding_token`";
        match self.padding {
            None if is_needed => Err(TextError::Setting(none.into())),
            padding => Ok(padding.unwrap_or(0)),
        }
    }

    /// The tokens of texts, as many as fit into an encoder's rows; the first text is that of row `first`.
    pub(super) fn rows(
        &self,
        texts: &[TextPair<'_>],
        first: usize,
        encoder: &Encoder,
    ) -> Result<Vec<TokenRow>, TextError> {
        let starts = self.parts(texts.iter().map(|(text, _)| *text).collect(), first)?;
        let seconds: Option<Vec<&str>> = texts.iter().map(|(_, second)| *second).collect();
        let seconds = match seconds {
            Some(seconds) => self.parts(seconds, first)?.into_iter().map(Some).collect(),
            None => vec![None; texts.len()],
        };
        let both = starts.into_iter().zip(seconds).zip(texts).enumerate();
        both.map(|(i, (parts, (text, _)))| self.row(first + i, text, parts, encoder)).collect()
    }

    /// Texts without what is added to them, on several threads.
    fn parts(&self, texts: Vec<&str>, first: usize) -> Result<Vec<Encoding>, TextError> {
        match caught(|| self.inner.encode_batch_fast(texts.clone(), false)) {
            Ok(encodings) => Ok(encodings),
            // Which of them it was, the crate doesn't say.
            Err(all) => Err((texts.into_iter().enumerate())
                .find_map(|(i, text)| Some(failed(first + i, caught(|| self.inner.encode_fast(text, false)).err()?)))
                .unwrap_or_else(|| failed(first, all))),
        }
    }

    /// A row of one or two texts.
    fn row(
        &self,
        row: usize,
        text: &str,
        (start, second): (Encoding, Option<Encoding>),
        encoder: &Encoder,
    ) -> Result<TokenRow, TextError> {
        let count = || Ok(self.inner.get_post_processor().map_or(0, |post| post.added_tokens(second.is_some())));
        let added = caught(count).map_err(|e| failed(row, e))?;
        let (limit, length) = (encoder.length, start.len() + second.as_ref().map_or(0, Encoding::len));
        if length == 0 && added == 0 {
            return self.unknown(row, text, encoder.empty_as_unknown);
        }
        if added >= limit {
            let what = format!("rows of {limit} leave no room for a text beside the {added} tokens that are added");
            return Err(TextError::Setting(what));
        }
        let direction = match encoder.truncation {
            Some(Side::Pre) => TruncationDirection::Left,
            Some(Side::Post) => TruncationDirection::Right,
            None if length + added > limit => {
                return Err(TextError::Long { row, length: length + added, limit });
            }
            None => TruncationDirection::Right,
        };
        let (strategy, max_length) = (TruncationStrategy::LongestFirst, limit - added);
        let params = TruncationParams { direction, max_length, strategy, stride: 0 };
        let cut = caught(|| {
            let (start, second) = truncate_encodings(start, second, &params)?;
            self.inner.post_process(start, second, true)
        })
        .map_err(|e| failed(row, e))?;
        match cut.len() <= limit {
            true => Ok(TokenRow { ids: numbers(cut.get_ids()), types: numbers(cut.get_type_ids()) }),
            false => Err(failed(row, "the tokenizer adds more tokens than it says")),
        }
    }

    /// The row of a text without tokens.
    fn unknown(&self, row: usize, text: &str, is_allowed: bool) -> Result<TokenRow, TextError> {
        let token = match self.inner.get_model() {
            ModelWrapper::WordPiece(model) => Some(model.unk_token.clone()),
            ModelWrapper::WordLevel(model) => Some(model.unk_token.clone()),
            ModelWrapper::BPE(model) => model.unk_token.clone(),
            ModelWrapper::Unigram(_) => Some("<unk>".into()),
        };
        match token.and_then(|token| self.id(&token)).filter(|_| is_allowed) {
            Some(id) => Ok(TokenRow { ids: vec![id], types: vec![0] }),
            None => Err(TextError::empty(row, RULE, text)),
        }
    }
}

/// What the crate gives. On a file that contradicts itself (tokens to be added that it doesn't have) it panics.
fn caught<T>(f: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("the tokenizer's file contradicts itself".into()),
    }
}

fn failed(row: usize, what: impl ToString) -> TextError {
    TextError::Tokenizer { row, what: what.to_string() }
}

/// Ids of a file whose largest fits.
fn numbers(ids: &[u32]) -> Vec<i32> {
    ids.iter().map(|&id| id as i32).collect()
}
