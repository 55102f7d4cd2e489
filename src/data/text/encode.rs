//! From texts to rows of ids, all of one length.

#[cfg(feature = "tokenizers")]
use super::Tokenizer;
use super::{PADDING, TextError, UNKNOWN, Vocabulary};
use crate::data::memory::reserve;
use crate::data::{Column, DataError, array};

/// An end of a sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The beginning.
    Pre,
    /// The end.
    Post,
}

/// How texts become rows of ids.
///
/// Short texts are filled with padding at the end ([`PADDING`], or a tokenizer's own id), long ones are cut there, and a text without tokens is an error, unless said otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoder {
    pub(super) length: usize,
    padding: Side,
    /// Where long texts are cut; `None` refuses them.
    pub(super) truncation: Option<Side>,
    pub(super) empty_as_unknown: bool,
}

/// What gives tokens their ids: `&Vocabulary` and `&Tokenizer` become one by themselves.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TokenIds<'v> {
    /// Words or characters, of texts of one's own.
    Vocabulary(&'v Vocabulary),
    /// Parts of words, as a pretrained model wants them.
    #[cfg(feature = "tokenizers")]
    Tokenizer(&'v Tokenizer),
}

impl<'v> From<&'v Vocabulary> for TokenIds<'v> {
    fn from(vocabulary: &'v Vocabulary) -> Self {
        Self::Vocabulary(vocabulary)
    }
}

#[cfg(feature = "tokenizers")]
impl<'v> From<&'v Tokenizer> for TokenIds<'v> {
    fn from(tokenizer: &'v Tokenizer) -> Self {
        Self::Tokenizer(tokenizer)
    }
}

/// A text, or two of which a model is asked how they go together.
pub(super) type TextPair<'t> = (&'t str, Option<&'t str>);

/// A text's tokens, as many as fit into a row.
#[derive(Default)]
pub(super) struct TokenRow {
    pub(super) ids: Vec<i32>,
    /// Which of two texts each is of.
    pub(super) types: Vec<i32>,
}

/// So many texts are taken at once: a tokenizer reads them on several threads.
const CHUNK: usize = 1024;

/// Texts as ids: a batch, or a whole data set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Encoded {
    /// How long each row is.
    pub length: usize,
    /// The rows, one after the other.
    pub ids: Vec<i32>,
    /// How many ids of each row are tokens; at least 1.
    pub lengths: Vec<i32>,
    /// Where tokens stand, like `ids`.
    pub mask: Vec<bool>,
    /// Which of a pair's texts a token is of, like `ids`: 0 or 1, as the tokenizer has it; all 0 where there are no pairs.
    pub types: Vec<i32>,
}

impl Encoder {
    /// Rows of that length.
    pub fn new(length: usize) -> Self {
        Self { length, padding: Side::Post, truncation: Some(Side::Post), empty_as_unknown: false }
    }

    /// Which end of a short text is filled.
    pub fn padding(mut self, side: Side) -> Self {
        self.padding = side;
        self
    }

    /// Which end of a long text is cut off.
    pub fn truncation(mut self, side: Side) -> Self {
        self.truncation = Some(side);
        self
    }

    /// A long text is an error.
    pub fn refuse_long(mut self) -> Self {
        self.truncation = None;
        self
    }

    /// A text without tokens is one unknown token, so that no row is all padding.
    pub fn empty_as_unknown(mut self) -> Self {
        self.empty_as_unknown = true;
        self
    }

    /// The rows of texts.
    ///
    /// # Errors
    /// If the length is 0, or leaves no room beside the tokens that a tokenizer adds; there are no texts, a text has no token, one is too long and must not be cut, memory doesn't hold
    /// the rows, or a tokenizer that has no id of padding needs one.
    pub fn encode<'t, 'v>(
        &self,
        tokens: impl Into<TokenIds<'v>>,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Result<Encoded, TextError> {
        self.rows(tokens.into(), texts.into_iter().map(|text| (text, None)))
    }

    /// The rows of pairs of texts, as models take them that compare two: a question and a paragraph. What is cut off, is cut off the longer one.
    ///
    /// # Errors
    /// As [`Self::encode`].
    #[cfg(feature = "tokenizers")]
    pub fn encode_pairs<'t>(
        &self,
        tokenizer: &Tokenizer,
        pairs: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<Encoded, TextError> {
        self.rows(tokenizer.into(), pairs.into_iter().map(|(first, second)| (first, Some(second))))
    }

    fn rows<'t>(
        &self,
        tokens: TokenIds<'_>,
        mut texts: impl Iterator<Item = TextPair<'t>>,
    ) -> Result<Encoded, TextError> {
        if self.length == 0 {
            return Err(TextError::Setting("rows of length 0 hold no token".into()));
        }
        let mut encoded = Encoded { length: self.length, ..Encoded::default() };
        loop {
            let (chunk, first): (Vec<_>, usize) = (texts.by_ref().take(CHUNK).collect(), encoded.lengths.len());
            if chunk.is_empty() {
                break;
            }
            match tokens {
                TokenIds::Vocabulary(vocabulary) => {
                    for (i, (text, _)) in chunk.into_iter().enumerate() {
                        let ids = self.fit(first + i, text, vocabulary)?;
                        let types = vec![0; ids.len()];
                        self.push(TokenRow { ids, types }, PADDING, &mut encoded)?;
                    }
                }
                #[cfg(feature = "tokenizers")]
                TokenIds::Tokenizer(tokenizer) => {
                    for row in tokenizer.rows(&chunk, first, self)? {
                        let padding = tokenizer.padding(row.ids.len() < self.length)?;
                        self.push(row, padding, &mut encoded)?;
                    }
                }
            }
        }
        if encoded.lengths.is_empty() {
            return Err(TextError::Setting("there are no texts to encode".into()));
        }
        Ok(encoded)
    }

    /// Adds a row, filled to its length.
    fn push(&self, row: TokenRow, padding: i32, to: &mut Encoded) -> Result<(), DataError> {
        let (tokens, rows) = (row.ids.len(), to.lengths.len() + 1);
        let what = format!("{rows} rows of {}", self.length);
        reserve(&mut to.ids, Some(self.length), &what)?;
        reserve(&mut to.types, Some(self.length), &what)?;
        reserve(&mut to.mask, Some(self.length), &what)?;
        let before = if self.padding == Side::Pre { self.length - tokens } else { 0 };
        let after = self.length - tokens - before;
        let padded = |to: &mut Vec<i32>, tokens: Vec<i32>, fill: i32| {
            to.extend(std::iter::repeat_n(fill, before));
            to.extend(tokens);
            to.extend(std::iter::repeat_n(fill, after));
        };
        padded(&mut to.ids, row.ids, padding);
        padded(&mut to.types, row.types, 0);
        to.mask.extend((0..self.length).map(|i| i >= before && i < before + tokens));
        to.lengths.push(tokens as i32);
        Ok(())
    }

    /// The ids of a text, between 1 and as many as fit.
    fn fit(&self, row: usize, text: &str, vocabulary: &Vocabulary) -> Result<Vec<i32>, TextError> {
        let mut ids = vocabulary.encode(text);
        if ids.is_empty() {
            if !self.empty_as_unknown {
                return Err(TextError::empty(row, vocabulary.rule().name(), text));
            }
            ids.push(UNKNOWN);
        }
        let length = ids.len();
        match self.truncation {
            _ if length <= self.length => {}
            Some(Side::Post) => ids.truncate(self.length),
            Some(Side::Pre) => drop(ids.drain(..length - self.length)),
            None => return Err(TextError::Long { row, length, limit: self.length }),
        }
        Ok(ids)
    }
}

impl Encoded {
    /// The ids as a column, `i32[length]` for each text.
    ///
    /// # Errors
    /// None: every encoded batch has texts of a length.
    pub fn column(&self) -> Result<Column, DataError> {
        Column::new(array([self.lengths.len(), self.length], self.ids.clone())?)
    }

    /// The mask as a column, `bool[length]` for each text.
    ///
    /// # Errors
    /// None: every encoded batch has texts of a length.
    pub fn mask_column(&self) -> Result<Column, DataError> {
        Column::new(array([self.lengths.len(), self.length], self.mask.clone())?)
    }

    /// Which of a pair's texts each token is of, as a column, `i32[length]` for each text.
    ///
    /// # Errors
    /// None: every encoded batch has texts of a length.
    pub fn type_column(&self) -> Result<Column, DataError> {
        Column::new(array([self.lengths.len(), self.length], self.types.clone())?)
    }
}
