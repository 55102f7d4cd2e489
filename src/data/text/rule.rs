//! How a text is cut into tokens.

use std::borrow::Cow;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Each longest run of letters and digits (Unicode's alphanumeric characters), in lower case. Everything else separates: `Don't!` is `don`, `t`.
    Words,
    /// Each character (Unicode scalar value) as it is, white space and punctuation too.
    Chars,
}

impl Rule {
    /// The name, as in a vocabulary's file: `words` or `chars`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Chars => "chars",
        }
    }

    /// The rule of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Words, Self::Chars].into_iter().find(|rule| rule.name() == name)
    }

    /// The tokens of a text, in order.
    pub fn tokens(self, text: &str) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        match self {
            Self::Words => {
                let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
                Box::new(words.map(lower_case))
            }
            Self::Chars => Box::new(text.char_indices().map(|(at, c)| Cow::Borrowed(&text[at..at + c.len_utf8()]))),
        }
    }

    /// What stands between tokens when they are put together again.
    pub(super) fn separator(self) -> &'static str {
        match self {
            Self::Words => " ",
            Self::Chars => "",
        }
    }
}

fn lower_case(word: &str) -> Cow<'_, str> {
    if word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(word.to_lowercase())
    }
}
