//! Parses expressions and indices.

use super::parser::{Parsed, Parser};
use crate::{Affine, BufRef, DType, Expr, IndexExpr, IndexVar, Reg, Scalar};
use ir::lexer::Token;

/// Types that a number's end may name, longer names before those that end them.
const SUFFIXES: [DType; 12] = [
    DType::Bf16,
    DType::F16,
    DType::F32,
    DType::F64,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::I8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::U8,
];

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.nested(Self::expr_here)
    }

    fn expr_here(&mut self) -> Parsed<Expr> {
        if let Some(reg) = self.peek_numbered('v') {
            self.next();
            return Ok(Expr::Reg(Reg(reg)));
        }
        let word = match self.peek() {
            Token::Number(n) => {
                let n = n.clone();
                return self.number(&n);
            }
            Token::Word(word) => word.clone(),
            _ => return self.expected("an expression"),
        };
        match word.as_str() {
            "true" | "false" => {
                self.next();
                Ok(Expr::Const(Scalar::Bool(word == "true")))
            }
            "nan" | "inf" | "-inf" => {
                self.next();
                self.typed(&word)
            }
            "index" => self.index_value(),
            "load" => self.load(),
            "cast" => self.conversion().map(|(value, dtype)| Expr::Cast(dtype, Box::new(value))),
            "bitcast" => self.conversion().map(|(value, dtype)| Expr::Bitcast(dtype, Box::new(value))),
            "splat" => self.splat(),
            "fold" => {
                self.next();
                let op = self.op()?;
                self.punct('(')?;
                let value = self.expr()?;
                self.punct(')')?;
                Ok(Expr::Fold(op, Box::new(value)))
            }
            _ if self.looks_like_call() => {
                let op = self.op()?;
                self.punct('(')?;
                Ok(Expr::Apply(op, self.list(')', Self::expr)?))
            }
            _ => self.expected("an expression"),
        }
    }

    /// A constant: its type ends it, or follows a colon.
    fn number(&mut self, text: &str) -> Parsed<Expr> {
        let value = SUFFIXES.iter().find_map(|&dtype| {
            let digits = text.strip_suffix(dtype.name()).filter(|d| !d.contains('x'))?;
            Scalar::parse(digits, dtype)
        });
        if let Some(value) = value {
            self.next();
            return Ok(Expr::Const(value));
        }
        if !text.starts_with("0x") {
            return self.fail(format!("`{text}` is no constant: a number ends with its type, like `1.0f32`"));
        }
        self.next();
        self.typed(text)
    }

    /// The rest of `nan:f32`.
    fn typed(&mut self, text: &str) -> Parsed<Expr> {
        self.punct(':')?;
        let dtype = self.dtype()?;
        match Scalar::parse(text, dtype) {
            Some(value) if dtype.is_float() => Ok(Expr::Const(value)),
            _ => self.fail(format!("`{text}` is no constant of type {dtype}")),
        }
    }

    fn index_value(&mut self) -> Parsed<Expr> {
        self.next();
        let index = self.affine()?;
        self.punct(':')?;
        let (dtype, lanes) = self.lanes_type()?;
        let stride = self.accept_stride(1)?;
        Ok(Expr::Index { index, dtype, lanes, stride })
    }

    /// `i32` or `i32x4`.
    fn lanes_type(&mut self) -> Parsed<(DType, u16)> {
        let found = match self.peek() {
            Token::Word(w) => match w.split_once('x') {
                Some((dtype, lanes)) => DType::from_name(dtype).zip(lanes.parse().ok()),
                None => DType::from_name(w).map(|dtype| (dtype, 1)),
            },
            _ => None,
        };
        match found {
            Some(ty) => {
                self.next();
                Ok(ty)
            }
            None => self.expected("a type like `i32` or `i32x4`"),
        }
    }

    /// `.x4`, if it is there.
    fn lanes(&mut self) -> Parsed<Option<u16>> {
        if !self.accept('.') {
            return Ok(None);
        }
        let found = match self.peek() {
            Token::Word(w) => w.strip_prefix('x').and_then(|n| n.parse().ok()),
            _ => None,
        };
        match found {
            Some(lanes) => {
                self.next();
                Ok(Some(lanes))
            }
            None => self.expected("lanes like `x4`"),
        }
    }

    fn load(&mut self) -> Parsed<Expr> {
        self.next();
        let lanes = self.lanes()?.unwrap_or(1);
        let (buf, index) = self.place()?;
        let stride = self.accept_stride(1)?;
        Ok(Expr::Load { buf, index, lanes, stride })
    }

    fn splat(&mut self) -> Parsed<Expr> {
        self.next();
        let Some(lanes) = self.lanes()? else { return self.expected("`.` and the lanes") };
        self.punct('(')?;
        let value = self.expr()?;
        self.punct(')')?;
        Ok(Expr::Splat(lanes, Box::new(value)))
    }

    /// The rest of `cast(v1 : f32)`.
    fn conversion(&mut self) -> Parsed<(Expr, DType)> {
        self.next();
        self.punct('(')?;
        let value = self.expr()?;
        self.punct(':')?;
        let dtype = self.dtype()?;
        self.punct(')')?;
        Ok((value, dtype))
    }

    /// `p0[i0*4 + i1]`.
    pub(super) fn place(&mut self) -> Parsed<(BufRef, Affine)> {
        let buf = match (self.peek_numbered('p'), self.peek_numbered('l')) {
            (Some(n), _) => BufRef::Param(n),
            (_, Some(n)) => BufRef::Local(n),
            _ => return self.expected("a buffer like `p0` or `l0`"),
        };
        self.next();
        self.punct('[')?;
        let index = self.affine()?;
        self.punct(']')?;
        Ok((buf, index))
    }

    pub(super) fn affine(&mut self) -> Parsed<Affine> {
        let mut sum = Affine::default();
        loop {
            let next = match self.peek_numbered('i') {
                Some(var) => {
                    self.next();
                    let coefficient = if self.accept('*') { self.int("a coefficient")? } else { 1 };
                    sum.checked_plus_term(IndexVar(var), coefficient)
                }
                None => sum.checked_plus(self.int("an index")?),
            };
            sum = match next {
                Some(next) => next,
                None => return self.fail("the index doesn't fit 64 bits"),
            };
            if !self.accept('+') {
                return Ok(sum);
            }
        }
    }

    pub(super) fn index_expr(&mut self) -> Parsed<IndexExpr> {
        if self.accept('(') {
            let value = self.affine()?;
            self.punct(')')?;
            if self.accept('/') {
                return Ok(IndexExpr::Div(value, self.int("a divisor")?));
            }
            self.punct('%')?;
            return Ok(IndexExpr::Rem(value, self.int("a divisor")?));
        }
        if !self.looks_like_call() {
            return self.affine().map(IndexExpr::Affine);
        }
        match self.name("an index")?.as_str() {
            "clamp" => {
                self.punct('(')?;
                let value = self.affine()?;
                self.punct(',')?;
                let lo = self.int("the smallest value")?;
                self.punct(',')?;
                let hi = self.int("the largest value")?;
                self.punct(')')?;
                Ok(IndexExpr::Clamp(value, lo, hi))
            }
            "checked" => {
                self.punct('(')?;
                let value = Box::new(self.expr()?);
                self.punct(',')?;
                let bound = self.int("the bound")?;
                self.punct(',')?;
                self.punct('#')?;
                let check = self.int("the check's number")?;
                self.punct(')')?;
                Ok(IndexExpr::Checked { value, bound, check })
            }
            other => self.fail(format!("`{other}` is no index: there are `clamp` and `checked`")),
        }
    }
}
