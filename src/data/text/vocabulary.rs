//! Vocabularies: tokens by id and ids by token, built from training data, kept in files.

use super::{Rule, TextError};
use crate::data::DataError;
use crate::io::write_atomically;
use ir::map_of;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The id of a position that no token fills.
pub const PADDING: i32 = 0;
/// The id of a token that the vocabulary doesn't have.
pub const UNKNOWN: i32 = 1;

/// How many ids stand for no token.
const SPECIAL: usize = 2;
/// What a vocabulary's file says that it is.
const FORMAT: &str = "gradc-vocabulary-1";

/// Tokens and their ids: [`PADDING`], [`UNKNOWN`], then the tokens of the texts it was built from, most frequent first, equally frequent ones in
/// the order of their code points. Built from the same texts it is the same. Build it from training data alone: a test's words must stay unknown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vocabulary {
    rule: Rule,
    tokens: Vec<String>,
    ids: BTreeMap<String, i32>,
}

impl Vocabulary {
    /// The most frequent tokens of texts, so many that there are at most `limit` ids.
    ///
    /// # Errors
    /// If the limit leaves no id for a token, or the texts have none.
    pub fn build<'t>(rule: Rule, texts: impl IntoIterator<Item = &'t str>, limit: usize) -> Result<Self, TextError> {
        if limit <= SPECIAL || i32::try_from(limit).is_err() {
            return Err(TextError::Setting(format!("a vocabulary of at most {limit} ids: wanted are 3 to 2^31 - 1")));
        }
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for token in texts.into_iter().flat_map(|text| rule.tokens(text)) {
            match counts.get_mut(&*token) {
                Some(count) => *count += 1,
                None => drop(counts.insert(token.into_owned(), 1)),
            }
        }
        if counts.is_empty() {
            return Err(TextError::Setting(format!("no {} to build a vocabulary from", rule.name())));
        }
        let mut tokens: Vec<(String, u64)> = counts.into_iter().collect();
        // Stable: what is equally frequent stays in ascending order.
        tokens.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        tokens.truncate(limit - SPECIAL);
        Ok(Self::of(rule, tokens.into_iter().map(|(token, _)| token).collect()))
    }

    fn of(rule: Rule, tokens: Vec<String>) -> Self {
        let ids = map_of(tokens.iter().enumerate().map(|(i, token)| (token.clone(), (i + SPECIAL) as i32)));
        Self { rule, tokens, ids }
    }

    /// What its tokens are.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// The number of ids, with those of padding and unknown tokens: the size of an embedding's table.
    pub fn size(&self) -> usize {
        self.tokens.len() + SPECIAL
    }

    /// The id of a token; [`UNKNOWN`] if it has none.
    pub fn id(&self, token: &str) -> i32 {
        self.ids.get(token).copied().unwrap_or(UNKNOWN)
    }

    /// The token of an id; `None` for the special ids, and for what is no id.
    pub fn token(&self, id: i32) -> Option<&str> {
        usize::try_from(id).ok()?.checked_sub(SPECIAL).and_then(|i| self.tokens.get(i)).map(String::as_str)
    }

    /// The ids of a text's tokens; empty if it has none.
    pub fn encode(&self, text: &str) -> Vec<i32> {
        self.rule.tokens(text).map(|token| self.id(&token)).collect()
    }

    /// The text of ids: words with spaces between them, characters as they are. Padding is left out, an unknown token is `\u{fffd}`.
    ///
    /// # Errors
    /// If an id is none of this vocabulary.
    pub fn decode(&self, ids: &[i32]) -> Result<String, TextError> {
        let mut tokens = Vec::with_capacity(ids.len());
        for (position, &id) in ids.iter().enumerate() {
            match (id, self.token(id)) {
                (PADDING, _) => {}
                (UNKNOWN, _) => tokens.push("\u{fffd}"),
                (_, Some(token)) => tokens.push(token),
                _ => return Err(TextError::Id { id: id.into(), position, size: self.size() }),
            }
        }
        Ok(tokens.join(self.rule.separator()))
    }

    /// Writes it to a file, as JSON; a crash leaves the old file or the new one, whole.
    ///
    /// # Errors
    /// What the system said.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TextError> {
        let text = json!({ "format": FORMAT, "rule": self.rule.name(), "tokens": self.tokens }).to_string();
        Ok(write_atomically(path, (text + "\n").as_bytes())?)
    }

    /// Reads it from a file that [`Vocabulary::save`] wrote.
    ///
    /// # Errors
    /// If the file can't be read, or is no vocabulary.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, TextError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| DataError::io(path, source))?;
        let parsed = serde_json::from_slice(&bytes).map_err(|e| e.to_string());
        let wrong = |what: String| DataError::file(path, what).into();
        parsed.and_then(|json| Self::from_json(&json)).map_err(wrong)
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        if json["format"] != FORMAT {
            return Err(format!("its format is {}, not {FORMAT:?}", json["format"]));
        }
        let rule =
            json["rule"].as_str().and_then(Rule::named).ok_or_else(|| format!("no such rule: {}", json["rule"]))?;
        let list = json["tokens"].as_array().filter(|list| !list.is_empty()).ok_or("it has no list `tokens`")?;
        let tokens: Option<Vec<String>> = list.iter().map(|token| token.as_str().map(String::from)).collect();
        let tokens = tokens.ok_or("a token is no text")?;
        if let Some(bad) = tokens.iter().find(|token| !rule.tokens(token).eq([token.as_str()])) {
            return Err(format!("{bad:?} is no token by the rule `{}`", rule.name()));
        }
        let vocabulary = Self::of(rule, tokens);
        if vocabulary.ids.len() < vocabulary.tokens.len() {
            return Err("a token stands in it twice".into());
        }
        Ok(vocabulary)
    }
}
