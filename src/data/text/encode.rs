//! From texts to rows of ids, all of one length.

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
/// Short texts are filled with [`PADDING`] at the end, long ones are cut there, and a text without tokens is an error, unless said otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoder {
    length: usize,
    padding: Side,
    /// Where long texts are cut; `None` refuses them.
    truncation: Option<Side>,
    empty_as_unknown: bool,
}

/// Texts as ids: a batch, or a whole data set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// How long each row is.
    pub length: usize,
    /// The rows, one after the other.
    pub ids: Vec<i32>,
    /// How many ids of each row are tokens; at least 1.
    pub lengths: Vec<i32>,
    /// Where tokens stand, like `ids`.
    pub mask: Vec<bool>,
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
    /// If the length is 0, there are no texts, a text has no token, one is too long and must not be cut, or memory doesn't hold the rows.
    pub fn encode<'t>(
        &self,
        vocabulary: &Vocabulary,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Result<Encoded, TextError> {
        if self.length == 0 {
            return Err(TextError::Setting("rows of length 0 hold no token".into()));
        }
        let mut encoded = Encoded { length: self.length, ids: vec![], lengths: vec![], mask: vec![] };
        for (row, text) in texts.into_iter().enumerate() {
            let ids = self.fit(row, text, vocabulary)?;
            let rows = || format!("{} rows of {}", row + 1, self.length);
            reserve(&mut encoded.ids, Some(self.length), &rows())?;
            reserve(&mut encoded.mask, Some(self.length), &rows())?;
            let pad = self.length - ids.len();
            let (before, after) = if self.padding == Side::Pre { (pad, 0) } else { (0, pad) };
            encoded.lengths.push(ids.len() as i32);
            let padded = |fill: i32, ids: &mut Vec<i32>, n: usize| ids.extend(std::iter::repeat_n(fill, n));
            padded(PADDING, &mut encoded.ids, before);
            encoded.mask.extend((0..self.length).map(|i| i >= before && i < self.length - after));
            encoded.ids.extend(ids);
            padded(PADDING, &mut encoded.ids, after);
        }
        if encoded.lengths.is_empty() {
            return Err(TextError::Setting("there are no texts to encode".into()));
        }
        Ok(encoded)
    }

    /// The ids of a text, between 1 and as many as fit.
    fn fit(&self, row: usize, text: &str, vocabulary: &Vocabulary) -> Result<Vec<i32>, TextError> {
        let mut ids = vocabulary.encode(text);
        if ids.is_empty() {
            if !self.empty_as_unknown {
                let (rule, text) = (vocabulary.rule().name(), text.chars().take(40).collect());
                return Err(TextError::Empty { row, rule, text });
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
}
