//! From characters to words.

use super::ParseError;
use std::fmt;

/// A word of the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// A name, a number or a literal: `add`, `-1.5e-3`, `0x7f`, `-inf`.
    Word(String),
    /// `%3`
    Id(u64),
    /// A string, its escapes resolved.
    Str(String),
    /// One of `= , : @ ( ) { } [ ]`.
    Mark(char),
    /// The end of the text.
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(w) => write!(f, "`{w}`"),
            Self::Id(n) => write!(f, "`%{n}`"),
            Self::Str(s) => write!(f, "the string {s:?}"),
            Self::Mark(c) => write!(f, "`{c}`"),
            Self::End => f.write_str("the end of the text"),
        }
    }
}

/// Splits text into tokens, one at a time.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
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
    pub(super) fn next(&mut self) -> Result<(Token, usize), ParseError> {
        self.skip_blank();
        let start = self.at;
        let token = match self.peek() {
            None => Token::End,
            Some('"') => self.string()?,
            Some('%') => self.id()?,
            Some(c) if "=,:@(){}[]".contains(c) => {
                self.at += c.len_utf8();
                Token::Mark(c)
            }
            Some(c) if is_word(c) || c == '-' || c == '+' => self.word(),
            Some(c) => return Err(ParseError::at(self.text, start, format!("unexpected character {c:?}"))),
        };
        Ok((token, start))
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = &self.text[self.at..];
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn id(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        self.at += 1;
        let digits = self.take_while(|c| c.is_ascii_digit());
        let wrong = || ParseError::at(self.text, start, "expected `%` and a number below 2^64 that names a node");
        digits.parse().map(Token::Id).map_err(|_| wrong())
    }

    /// A name or a number; the sign of an exponent belongs to the number.
    fn word(&mut self) -> Token {
        let start = self.at;
        let first = self.peek();
        if matches!(first, Some('-' | '+')) {
            self.at += 1;
        }
        let numeric = first.is_some_and(|c| !c.is_ascii_alphabetic());
        self.take_while(is_word);
        let hex = self.text[start..self.at].contains("0x");
        if numeric && !hex && self.text[start..self.at].ends_with(['e', 'E']) && matches!(self.peek(), Some('-' | '+'))
        {
            self.at += 1;
            self.take_while(is_word);
        }
        Token::Word(self.text[start..self.at].into())
    }

    fn string(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let at = self.at;
            let c = self.peek().filter(|c| *c != '\n');
            let c = c.ok_or_else(|| ParseError::at(self.text, start, "this string has no closing `\"` on its line"))?;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(Token::Str(out)),
                '\\' => out.push(self.escape(at)?),
                c => out.push(c),
            }
        }
    }

    /// What follows a backslash at byte `start`.
    fn escape(&mut self, start: usize) -> Result<char, ParseError> {
        let wrong =
            |text| ParseError::at(text, start, "expected one of the escapes \\n \\r \\t \\0 \\\\ \\\" \\' \\u{1f600}");
        let c = self.peek().ok_or_else(|| wrong(self.text))?;
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
                code.and_then(char::from_u32).ok_or_else(|| wrong(self.text))
            }
            _ => Err(wrong(self.text)),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}
