//! Splits text into tokens with their places.

use super::ParseError;

/// A token.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    /// A name or keyword; `-inf` is one, too.
    Word(String),
    /// Digits with all that sticks to them: sign, point, exponent, type.
    Number(String),
    /// A string, without quotes and escapes.
    Text(String),
    /// Anything else that may stand there.
    Punct(char),
    /// Two points.
    Range,
    /// The end.
    End,
}

impl Token {
    /// For messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Word(w) | Self::Number(w) => format!("`{w}`"),
            Self::Text(_) => "a string".into(),
            Self::Punct(c) => format!("`{c}`"),
            Self::Range => "`..`".into(),
            Self::End => "the end".into(),
        }
    }
}

/// A token and where it starts: line and column, from 1.
pub(super) type Placed = (Token, usize, usize);

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    column: usize,
}

/// All tokens, the last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, ParseError> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, column: 1 };
    let mut all = vec![];
    loop {
        lexer.skip_blank();
        let (line, column) = (lexer.line, lexer.column);
        let token = lexer.token()?;
        let end = token == Token::End;
        all.push((token, line, column));
        if end {
            return Ok(all);
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        if c == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError { line: self.line, column: self.column, message: message.into() })
    }

    fn skip_blank(&mut self) {
        while let Some(c) = self.peek(0) {
            if c == ';' {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.bump();
                }
            } else if c.is_whitespace() {
                self.bump();
            } else {
                return;
            }
        }
    }

    fn take_while(&mut self, into: &mut String, test: impl Fn(char) -> bool) {
        while let Some(c) = self.peek(0).filter(|&c| test(c)) {
            into.push(c);
            self.bump();
        }
    }

    fn token(&mut self) -> Result<Token, ParseError> {
        let Some(c) = self.peek(0) else { return Ok(Token::End) };
        let next = self.peek(1);
        match c {
            '-' if next == Some('i') => {
                self.bump();
                let mut word = "-".to_string();
                self.take_while(&mut word, is_word);
                Ok(Token::Word(word))
            }
            c if c.is_ascii_digit() || c == '-' && next.is_some_and(|d| d.is_ascii_digit()) => Ok(self.number()),
            c if is_word(c) => {
                let mut word = String::new();
                self.take_while(&mut word, is_word);
                Ok(Token::Word(word))
            }
            '"' => self.text(),
            '.' if next == Some('.') => {
                self.bump();
                self.bump();
                Ok(Token::Range)
            }
            '.' | ',' | ':' | '(' | ')' | '[' | ']' | '{' | '}' | '=' | '+' | '*' | '/' | '%' | '#' | '@' => {
                self.bump();
                Ok(Token::Punct(c))
            }
            c => self.fail(format!("{c:?} has no meaning here")),
        }
    }

    fn number(&mut self) -> Token {
        let mut text = String::new();
        if self.peek(0) == Some('-') {
            text.push('-');
            self.bump();
        }
        self.take_while(&mut text, |c| c.is_ascii_digit());
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            text.push('.');
            self.bump();
            self.take_while(&mut text, |c| c.is_ascii_digit());
        }
        if self.peek(0) == Some('e') && self.peek(1) == Some('-') {
            text.push_str("e-");
            self.bump();
            self.bump();
        }
        self.take_while(&mut text, is_word);
        Token::Number(text)
    }

    fn text(&mut self) -> Result<Token, ParseError> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('"') => return Ok(Token::Text(text)),
                Some('\\') => text.push(self.escape()?),
                Some('\n') | None => return self.fail("a string doesn't end on its line"),
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        match self.bump() {
            Some(c @ ('"' | '\\')) => Ok(c),
            Some('n') => Ok('\n'),
            Some('u') if self.peek(0) == Some('{') => {
                self.bump();
                let mut hex = String::new();
                self.take_while(&mut hex, |c| c.is_ascii_hexdigit());
                let c = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                match (c, self.bump()) {
                    (Some(c), Some('}')) => Ok(c),
                    _ => self.fail("a character's number should look like \\u{1f}"),
                }
            }
            _ => self.fail("a backslash goes before `\"`, `\\`, `n` or `u{..}`"),
        }
    }
}
