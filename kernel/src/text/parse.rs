//! Parses statements, kernels and programs.

use super::parser::{Parsed, Parser};
use crate::{
    Access, Affine, BufRef, Buffer, BufferId, BufferKind, Check, Code, DType, Data, IndexVar, Kernel, Launch, Local,
    LoopKind, Micro, Origin, Param, Program, ReduceDim, Reg, Scalar, Stmt, TileOperand, TileSums,
};
use ir::lexer::Token;
use std::str::FromStr;

/// Text that isn't a program: what is wrong and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl FromStr for Program {
    type Err = ParseError;

    fn from_str(text: &str) -> Parsed<Self> {
        let mut parser = Parser::new(text)?;
        let program = parser.program()?;
        parser.end()?;
        Ok(program)
    }
}

impl FromStr for Kernel {
    type Err = ParseError;

    fn from_str(text: &str) -> Parsed<Self> {
        let mut parser = Parser::new(text)?;
        let kernel = parser.kernel()?;
        parser.end()?;
        Ok(kernel)
    }
}

impl Parser<'_> {
    fn program(&mut self) -> Parsed<Program> {
        self.word("program")?;
        let mut program = Program { name: self.text()?, ..Program::default() };
        if self.accept_word("arena") {
            program.arena_bytes = Some(self.int("a number of bytes")?);
        }
        while let Some(n) = self.peek_numbered('b') {
            self.in_order("buffer", n as usize, program.buffers.len())?;
            program.buffers.push(self.buffer()?);
        }
        while self.accept_word("check") {
            self.punct('#')?;
            let n: usize = self.int("the check's number")?;
            self.in_order("check", n, program.checks.len())?;
            let message = self.text()?;
            program.checks.push(Check { message, loc: self.location()? });
        }
        while self.accept_word("origin") {
            self.punct('#')?;
            let n: usize = self.int("the origin's number")?;
            self.in_order("origin", n, program.origins.len())?;
            let op = self.name("an op's name")?;
            let loc = self.location()?;
            let (section, layer) = self.declared_in()?;
            program.origins.push(Origin { op, loc, section, layer });
        }
        while *self.peek() == Token::Word("kernel".into()) {
            program.kernels.push(self.kernel()?);
        }
        while self.accept_word("launch") {
            program.launches.push(self.launch(&program.kernels)?);
        }
        Ok(program)
    }

    /// `at "src/main.rs:3:9"`, if it stands there.
    fn location(&mut self) -> Parsed<Option<String>> {
        if self.accept_word("at") { self.text().map(Some) } else { Ok(None) }
    }

    /// `in backward "encoder/dense"`, or a part of it, if it stands there.
    fn declared_in(&mut self) -> Parsed<(Option<String>, Option<String>)> {
        if !self.accept_word("in") {
            return Ok((None, None));
        }
        let section =
            if matches!(self.peek(), Token::Str(_)) { None } else { Some(self.name("a section or a layer's path")?) };
        let layer = if matches!(self.peek(), Token::Str(_)) { Some(self.text()?) } else { None };
        Ok((section, layer))
    }

    fn in_order(&self, what: &str, found: usize, next: usize) -> Parsed<()> {
        if found == next { Ok(()) } else { self.fail(format!("{what} {found} stands where {what} {next} should")) }
    }

    fn launch(&mut self, kernels: &[Kernel]) -> Parsed<Launch> {
        let name = match self.peek() {
            Token::Word(w) => w.clone(),
            _ => return self.expected("a kernel's name"),
        };
        let Some(kernel) = kernels.iter().position(|k| k.name == name) else {
            return self.fail(format!("there is no kernel `{name}`"));
        };
        self.next();
        self.punct('(')?;
        let args = self.list(')', |p| p.numbered('b').map(BufferId))?;
        let mut origins = vec![];
        if self.accept_word("from") {
            self.punct('#')?;
            origins.push(self.int("an origin's number")?);
            while self.accept('#') {
                origins.push(self.int("an origin's number")?);
            }
        }
        Ok(Launch { kernel: kernel as u32, args, origins })
    }

    /// `f32[128]`.
    fn elements(&mut self) -> Parsed<(DType, usize)> {
        let dtype = self.dtype()?;
        self.punct('[')?;
        let len = self.int("a number of elements")?;
        self.punct(']')?;
        Ok((dtype, len))
    }

    fn buffer(&mut self) -> Parsed<Buffer> {
        self.next();
        self.punct(':')?;
        let (dtype, len) = self.elements()?;
        let kind = match self.name("what the buffer is for")?.as_str() {
            "temp" => BufferKind::Temp,
            "input" => BufferKind::Input { name: self.text()? },
            "output" => BufferKind::Output { name: self.text()? },
            "state" => BufferKind::State { name: self.text()? },
            "next" => BufferKind::Next { name: self.text()? },
            "constant" => BufferKind::Constant { bytes: self.constant_bytes(dtype)?.into() },
            other => return self.fail(format!("`{other}` is no kind of buffer")),
        };
        let offset = if self.accept('@') { Some(self.int("an offset in bytes")?) } else { None };
        Ok(Buffer { dtype, len, kind, offset })
    }

    fn constant_bytes(&mut self, dtype: DType) -> Parsed<Vec<u8>> {
        if self.accept('[') {
            let elements = self.list(']', |p| p.untyped_scalar(dtype))?;
            let bytes = elements.iter().flat_map(|&e| Data::splat(e, 1).to_bytes());
            return Ok(bytes.collect());
        }
        self.word("x")?;
        let hex = self.text()?;
        let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 => Ok(digits.chunks(2).map(|p| p[0] << 4 | p[1]).collect()),
            _ => self.fail("bytes are pairs of hexadecimal digits"),
        }
    }

    fn untyped_scalar(&mut self, dtype: DType) -> Parsed<Scalar> {
        let value = match self.peek() {
            Token::Word(w) | Token::Number(w) => Scalar::parse(w, dtype),
            _ => None,
        };
        match value {
            Some(value) => {
                self.next();
                Ok(value)
            }
            None => self.expected(&format!("an element of type {dtype}")),
        }
    }

    fn kernel(&mut self) -> Parsed<Kernel> {
        self.word("kernel")?;
        let name = self.name("a kernel's name")?;
        self.punct('(')?;
        let mut count = 0;
        let params = self.list(')', |p| {
            let n = p.numbered('p')?;
            p.in_order("parameter", n as usize, count)?;
            count += 1;
            p.punct(':')?;
            p.param()
        })?;
        self.punct('{')?;
        let mut locals = vec![];
        while self.accept_word("local") {
            let n = self.numbered('l')?;
            self.in_order("local", n as usize, locals.len())?;
            self.punct(':')?;
            let (dtype, len) = self.elements()?;
            locals.push(Local { dtype, len });
        }
        Ok(Kernel::new(name, Code { params, locals, body: self.rest_of_block()? }))
    }

    fn param(&mut self) -> Parsed<Param> {
        let access = match self.name("`read`, `write`, `readwrite` or `stream`")?.as_str() {
            "read" => Access::Read,
            "write" => Access::Write,
            "readwrite" => Access::ReadWrite,
            "stream" => Access::Stream,
            other => {
                return self.fail(format!("`{other}` is no access: it is `read`, `write`, `readwrite` or `stream`"));
            }
        };
        let (dtype, len) = self.elements()?;
        Ok(Param { dtype, len, access })
    }

    fn block(&mut self) -> Parsed<Vec<Stmt>> {
        self.punct('{')?;
        self.nested(Self::rest_of_block)
    }

    fn rest_of_block(&mut self) -> Parsed<Vec<Stmt>> {
        let mut body = vec![];
        while !self.accept('}') {
            body.push(self.stmt()?);
        }
        Ok(body)
    }

    fn stmt(&mut self) -> Parsed<Stmt> {
        if let Some(reg) = self.peek_numbered('v') {
            self.next();
            return self.update(Reg(reg));
        }
        let Token::Word(word) = self.peek().clone() else { return self.expected("a statement") };
        match word.as_str() {
            "for" => self.for_loop(LoopKind::Serial),
            "parallel" => self.for_loop(LoopKind::Parallel),
            "vector" => self.for_loop(LoopKind::Vector),
            "let" => {
                self.next();
                self.binding()
            }
            "var" => {
                self.next();
                let reg = Reg(self.numbered('v')?);
                self.punct('=')?;
                Ok(Stmt::Decl { reg, init: self.expr()? })
            }
            "store" => {
                self.next();
                let (buf, index) = self.place()?;
                self.punct('=')?;
                Ok(Stmt::Store { buf, index, value: self.expr()? })
            }
            "if" => {
                self.next();
                let condition = self.expr()?;
                let then = self.block()?;
                let otherwise = if self.accept_word("else") { self.block()? } else { vec![] };
                Ok(Stmt::If { condition, then, otherwise })
            }
            "micro" => {
                self.next();
                self.micro().map(|micro| Stmt::Micro(Box::new(micro)))
            }
            _ => self.expected("a statement"),
        }
    }

    /// What follows the accumulator in `v2 = ..` and `v2 add= ..`.
    fn update(&mut self, reg: Reg) -> Parsed<Stmt> {
        if self.accept('=') {
            return Ok(Stmt::Assign { reg, value: self.expr()? });
        }
        let op = self.op()?;
        self.punct('=')?;
        Ok(Stmt::Accumulate { reg, op, value: self.expr()? })
    }

    fn for_loop(&mut self, kind: LoopKind) -> Parsed<Stmt> {
        self.next();
        let var = IndexVar(self.numbered('i')?);
        self.word("in")?;
        match self.next() {
            Token::Number(n) if n == "0" => {}
            _ => return self.fail("a loop starts at 0"),
        }
        if self.next() != Token::Range {
            return self.fail("a loop's range looks like `0..32`");
        }
        let extent = self.int("the number of iterations")?;
        Ok(Stmt::For { var, extent, kind, body: self.block()? })
    }

    fn binding(&mut self) -> Parsed<Stmt> {
        if let Some(var) = self.peek_numbered('i') {
            self.next();
            self.punct('=')?;
            return Ok(Stmt::LetIndex { var: IndexVar(var), value: self.index_expr()? });
        }
        let reg = Reg(self.numbered('v')?);
        self.punct('=')?;
        Ok(Stmt::Let { reg, value: self.expr()? })
    }

    fn micro(&mut self) -> Parsed<Micro> {
        let (m, n) = self.tile()?;
        self.word("a")?;
        let a = self.operand()?;
        self.word("b")?;
        let b = self.operand()?;
        self.word("reduce")?;
        self.punct('=')?;
        self.punct('[')?;
        let reduce = self.list(']', Self::reduce_dim)?;
        self.punct(',')?;
        self.word("c")?;
        let accumulate = self.accept_word("add");
        self.punct('=')?;
        let (buf, base, stride) = self.strided()?;
        Ok(Micro { m, n, a, b, reduce, c: TileSums { buf, base, stride, accumulate } })
    }

    /// `6x8`.
    fn tile(&mut self) -> Parsed<(usize, usize)> {
        let found = match self.peek() {
            Token::Number(t) => t.split_once('x').and_then(|(m, n)| Some((m.parse().ok()?, n.parse().ok()?))),
            _ => None,
        };
        match found {
            Some(tile) => {
                self.next();
                Ok(tile)
            }
            None => self.expected("a tile like `6x8`"),
        }
    }

    /// `=p0[i0*784] stride 784,`.
    fn operand(&mut self) -> Parsed<TileOperand> {
        self.punct('=')?;
        let (buf, base, stride) = self.strided()?;
        self.punct(',')?;
        Ok(TileOperand { buf, base, stride })
    }

    /// `p0[i0*784] stride 784`.
    fn strided(&mut self) -> Parsed<(BufRef, Affine, i64)> {
        let (buf, base) = self.place()?;
        let stride = if self.accept_word("stride") { self.int("a stride")? } else { 1 };
        Ok((buf, base, stride))
    }

    fn reduce_dim(&mut self) -> Parsed<ReduceDim> {
        self.punct('(')?;
        let extent = self.int("an extent")?;
        self.punct(',')?;
        let a_stride = self.int("a stride")?;
        self.punct(',')?;
        let b_stride = self.int("a stride")?;
        self.punct(')')?;
        Ok(ReduceDim { extent, a_stride, b_stride })
    }
}
