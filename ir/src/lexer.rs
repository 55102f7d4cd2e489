//! From characters to words, in all texts: of graphs, and of kernels.

use std::fmt;

/// A word of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// A name, or a literal that has no digits: `add`, `i3`, `-inf`.
    Word(String),
    /// Digits with all that sticks to them, sign, point, exponent, type: `-1.5e-3f32`, `0x7f`.
    Number(String),
    /// `%3`, in texts where `%` is no mark.
    Id(u64),
    /// A string, its escapes resolved.
    Str(String),
    /// One of the text's marks.
    Mark(char),
    /// `..`
    Range,
    /// The end of the text.
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(w) | Self::Number(w) => write!(f, "`{w}`"),
            Self::Id(n) => write!(f, "`%{n}`"),
            Self::Str(s) => write!(f, "the string {s:?}"),
            Self::Mark(c) => write!(f, "`{c}`"),
            Self::Range => f.write_str("`..`"),
            Self::End => f.write_str("the end of the text"),
        }
    }
}

/// What is no token, and the byte of the text where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LexError {
    /// The byte.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

impl LexError {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// Line and column, both from 1, the column in characters, of a byte of a text.
pub fn position(text: &str, at: usize) -> (usize, usize) {
    let at = (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.bytes().filter(|b| *b == b'\n').count() + 1, before[start..].chars().count() + 1)
}

/// Splits a text into tokens, one at a time. White space and comments, from `//` or `;` to the end of the line, separate them.
pub struct Lexer<'t> {
    text: &'t str,
    marks: &'static str,
    at: usize,
}

impl<'t> Lexer<'t> {
    /// A lexer at the beginning of a text with these marks.
    pub fn new(text: &'t str, marks: &'static str) -> Self {
        Self { text, marks, at: 0 }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.text[self.at..].chars().nth(1)
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start().len();
            if blank > 0 {
                self.at += blank;
            } else if rest.starts_with("//") || rest.starts_with(';') {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else {
                return;
            }
        }
    }

    /// The next token and the byte it starts at.
    ///
    /// # Errors
    /// A character that starts no token, a string without an end, an escape that is none, a number of a node that fits no 64 bits.
    pub fn token(&mut self) -> Result<(Token, usize), LexError> {
        self.skip_blank();
        let start = self.at;
        let second = self.peek_second();
        let token = match self.peek() {
            None => Token::End,
            Some('"') => self.string()?,
            Some('.') if second == Some('.') => {
                self.at += 2;
                Token::Range
            }
            Some(c) if self.marks.contains(c) => {
                self.at += c.len_utf8();
                Token::Mark(c)
            }
            Some('%') => self.id()?,
            Some(c) if c.is_ascii_digit() => self.number(),
            Some('-' | '+') if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            Some('-' | '+') if second.is_some_and(is_word) => self.word(),
            Some(c) if is_word(c) => self.word(),
            Some(c) => return Err(LexError::new(start, format!("unexpected character {c:?}"))),
        };
        Ok((token, start))
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = &self.text[self.at..];
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn id(&mut self) -> Result<Token, LexError> {
        let start = self.at;
        self.at += 1;
        let digits = self.take_while(|c| c.is_ascii_digit());
        let wrong = || LexError::new(start, "expected `%` and a number below 2^64 that names a node");
        digits.parse().map(Token::Id).map_err(|_| wrong())
    }

    /// A name, maybe with a sign.
    fn word(&mut self) -> Token {
        let start = self.at;
        self.at += 1;
        self.take_while(is_word);
        Token::Word(self.text[start..self.at].into())
    }

    /// A number; the sign of an exponent belongs to it, and a point unless it is that of a range.
    fn number(&mut self) -> Token {
        let start = self.at;
        self.at += 1;
        self.take_while(is_word);
        if self.peek() == Some('.') && self.peek_second() != Some('.') {
            self.at += 1;
            self.take_while(is_word);
        }
        let so_far = &self.text[start..self.at];
        let exponent = so_far.ends_with(['e', 'E']) && !so_far.contains("0x");
        if exponent && matches!(self.peek(), Some('-' | '+')) {
            self.at += 1;
            self.take_while(is_word);
        }
        Token::Number(self.text[start..self.at].into())
    }

    fn string(&mut self) -> Result<Token, LexError> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let at = self.at;
            let c = self.peek().filter(|c| *c != '\n');
            let c = c.ok_or_else(|| LexError::new(start, "this string has no closing `\"` on its line"))?;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(Token::Str(out)),
                '\\' => out.push(self.escape(at)?),
                c => out.push(c),
            }
        }
    }

    /// What follows a backslash at byte `start`.
    fn escape(&mut self, start: usize) -> Result<char, LexError> {
        let wrong = || LexError::new(start, "expected one of the escapes \\n \\r \\t \\0 \\\\ \\\" \\' \\u{1f600}");
        let c = self.peek().ok_or_else(&wrong)?;
        self.at += c.len_utf8();
        match c {
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            '0' => Ok('\0'),
            '\\' | '"' | '\'' => Ok(c),
            'u' if self.peek() == Some('{') => {
                self.at += 1;
                let digits = self.take_while(|c| c.is_ascii_hexdigit());
                let closed = self.peek() == Some('}');
                self.at += usize::from(closed);
                let code = u32::from_str_radix(digits, 16).ok().filter(|_| closed);
                code.and_then(char::from_u32).ok_or_else(&wrong)
            }
            _ => Err(wrong()),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, marks: &'static str) -> Vec<Token> {
        let mut lexer = Lexer::new(text, marks);
        let tokens = std::iter::from_fn(|| Some(lexer.token().unwrap().0));
        tokens.take_while(|token| *token != Token::End).collect()
    }

    #[test]
    fn points_and_signs_belong_to_numbers_where_they_can() {
        let number = |text: &str| Token::Number(text.into());
        assert_eq!(words("0..24", ""), [number("0"), Token::Range, number("24")]);
        for whole in ["-1.5e-3f32", "1e+30", "0x7fc00001", "-3i64", "2.", "6x8", "1e-7"] {
            assert_eq!(words(whole, ""), [number(whole)]);
        }
        // The bits of a float end with a letter of an exponent, not with one.
        assert_eq!(words("0x7e -1", ""), [number("0x7e"), number("-1")]);
        assert_eq!(words("-inf", ""), [Token::Word("-inf".into())]);
    }

    #[test]
    fn a_percent_sign_is_what_the_text_says() {
        assert_eq!(words("%3", ""), [Token::Id(3)]);
        assert_eq!(words("i0%3", "%"), [Token::Word("i0".into()), Token::Mark('%'), Token::Number("3".into())]);
        // A plus between indices is a mark, and no sign of what follows.
        assert_eq!(words("+1", "+"), [Token::Mark('+'), Token::Number("1".into())]);
        assert_eq!(words("+1", ""), [Token::Number("+1".into())]);
    }
}
