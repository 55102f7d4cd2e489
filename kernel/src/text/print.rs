//! Prints statements, kernels and programs; on request with notes under the lines they belong to.

use crate::{Access, Buffer, BufferKind, Data, Kernel, LoopKind, Micro, Program, Stmt, TileOperand};
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result, Write};

/// A line of a program's text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum TextLine {
    /// The header.
    Program,
    /// A buffer.
    Buffer(usize),
    /// The first line of a kernel.
    Kernel(usize),
    /// A statement of a kernel, by its number in printing order.
    Stmt(usize, usize),
    /// A launch.
    Launch(usize),
}

/// What to say under which line.
pub(crate) type Notes = BTreeMap<TextLine, Vec<String>>;

/// The parts of a program's text that notes are about, with each note under its line.
pub(crate) fn annotate(program: &Program, notes: &Notes, f: &mut Formatter<'_>) -> Result {
    Printer { out: f, notes: Some(notes), kernel: 0, stmt: 0 }.program(program)
}

struct Printer<'a, 'f> {
    out: &'a mut Formatter<'f>,
    notes: Option<&'a Notes>,
    kernel: usize,
    /// The number of the next statement.
    stmt: usize,
}

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Printer { out: f, notes: None, kernel: 0, stmt: 0 }.program(self)
    }
}

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Printer { out: f, notes: None, kernel: 0, stmt: 0 }.kernel(self)
    }
}

impl Display for Stmt {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Printer { out: f, notes: None, kernel: 0, stmt: 0 }.stmt(self, 0)
    }
}

impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "readwrite",
            Self::Stream => "stream",
        })
    }
}

impl Display for LoopKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Serial => "for",
            Self::Parallel => "parallel",
            Self::Vector => "vector",
        })
    }
}

impl Display for TileOperand {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}[{}]", self.buf, self.base)?;
        if self.stride == 1 { Ok(()) } else { write!(f, " stride {}", self.stride) }
    }
}

impl Display for Buffer {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}[{}] ", self.dtype, self.len)?;
        match &self.kind {
            BufferKind::Temp => f.write_str("temp")?,
            BufferKind::Input { name } => write!(f, "input {}", Quoted(name))?,
            BufferKind::Output { name } => write!(f, "output {}", Quoted(name))?,
            BufferKind::State { name } => write!(f, "state {}", Quoted(name))?,
            BufferKind::Next { name } => write!(f, "next {}", Quoted(name))?,
            BufferKind::Constant { bytes } => constant(self, bytes, f)?,
        }
        self.offset.map_or(Ok(()), |offset| write!(f, " @ {offset}"))
    }
}

/// Constants up to this many elements are spelled as numbers.
const SPELLED: usize = 16;

fn constant(buffer: &Buffer, bytes: &[u8], f: &mut Formatter<'_>) -> Result {
    let data = Data::from_bytes(buffer.dtype, bytes);
    // A truth value that is neither 0 nor 1 is invalid, but its text still says what is there.
    if data.len() == buffer.len && data.len() <= SPELLED && data.to_bytes() == bytes {
        let elements: Vec<String> = (0..data.len()).map(|i| data.get(i).to_string()).collect();
        return write!(f, "constant [{}]", elements.join(", "));
    }
    f.write_str("constant x\"")?;
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    f.write_str("\"")
}

/// A string in quotes, with escapes for quotes, backslashes and control characters.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

impl Printer<'_, '_> {
    fn notes_of(&mut self, site: TextLine, indent: usize) -> Result {
        for note in self.notes.and_then(|notes| notes.get(&site)).into_iter().flatten() {
            writeln!(self.out, "{:1$}^ error: {note}", "", indent * 2)?;
        }
        Ok(())
    }

    /// With notes, only what they are about is printed.
    fn concerns(&self, test: impl Fn(&TextLine) -> bool) -> bool {
        self.notes.is_none_or(|notes| notes.keys().any(test))
    }

    fn program(&mut self, program: &Program) -> Result {
        write!(self.out, "program {}", Quoted(&program.name))?;
        if let Some(bytes) = program.arena_bytes {
            write!(self.out, " arena {bytes}")?;
        }
        self.out.write_char('\n')?;
        self.notes_of(TextLine::Program, 0)?;
        for (at, buffer) in program.buffers.iter().enumerate() {
            if !self.concerns(|site| *site == TextLine::Buffer(at)) {
                continue;
            }
            writeln!(self.out, "b{at}: {buffer}")?;
            self.notes_of(TextLine::Buffer(at), 0)?;
        }
        if self.notes.is_none() {
            self.tables(program)?;
        }
        for (at, kernel) in program.kernels.iter().enumerate() {
            if !self.concerns(|site| matches!(site, TextLine::Kernel(k) | TextLine::Stmt(k, _) if *k == at)) {
                continue;
            }
            (self.kernel, self.stmt) = (at, 0);
            self.out.write_char('\n')?;
            self.kernel(kernel)?;
            self.out.write_char('\n')?;
        }
        for (at, launch) in program.launches.iter().enumerate() {
            if !self.concerns(|site| *site == TextLine::Launch(at)) {
                continue;
            }
            let args: Vec<String> = launch.args.iter().map(ToString::to_string).collect();
            let before = if at == 0 { "\n" } else { "" };
            let kernel = program.kernels.get(launch.kernel as usize);
            let name = kernel.map_or_else(|| format!("?{}", launch.kernel), |k| k.name.clone());
            write!(self.out, "{before}launch {name}({})", args.join(", "))?;
            for (at, origin) in launch.origins.iter().enumerate() {
                write!(self.out, "{}#{origin}", if at == 0 { " from " } else { " " })?;
            }
            self.out.write_char('\n')?;
            self.notes_of(TextLine::Launch(at), 0)?;
        }
        Ok(())
    }

    /// What checks say and where launches come from.
    fn tables(&mut self, program: &Program) -> Result {
        for (at, check) in program.checks.iter().enumerate() {
            write!(self.out, "check #{at} {}", Quoted(&check.message))?;
            self.location(check.loc.as_deref())?;
            self.out.write_char('\n')?;
        }
        for (at, origin) in program.origins.iter().enumerate() {
            write!(self.out, "origin #{at} {}", origin.op)?;
            self.location(origin.loc.as_deref())?;
            if origin.section.is_some() || origin.layer.is_some() {
                self.out.write_str(" in")?;
            }
            if let Some(section) = &origin.section {
                write!(self.out, " {section}")?;
            }
            if let Some(layer) = &origin.layer {
                write!(self.out, " {}", Quoted(layer))?;
            }
            self.out.write_char('\n')?;
        }
        Ok(())
    }

    /// A place in the user's source, if it is known.
    fn location(&mut self, loc: Option<&str>) -> Result {
        loc.map_or(Ok(()), |loc| write!(self.out, " at {}", Quoted(loc)))
    }

    fn kernel(&mut self, kernel: &Kernel) -> Result {
        let params = kernel.params.iter().enumerate();
        let params: Vec<String> = params.map(|(at, p)| format!("p{at}: {} {}[{}]", p.access, p.dtype, p.len)).collect();
        writeln!(self.out, "kernel {}({}) {{", kernel.name, params.join(", "))?;
        self.notes_of(TextLine::Kernel(self.kernel), 0)?;
        for (at, local) in kernel.locals.iter().enumerate() {
            writeln!(self.out, "  local l{at}: {}[{}]", local.dtype, local.len)?;
        }
        self.body(&kernel.body, 1)?;
        self.out.write_char('}')
    }

    fn body(&mut self, body: &[Stmt], indent: usize) -> Result {
        for stmt in body {
            self.stmt(stmt, indent)?;
            self.out.write_char('\n')?;
        }
        Ok(())
    }

    /// Ends the line of a statement that has a body, and prints that.
    fn block(&mut self, site: TextLine, body: &[Stmt], indent: usize) -> Result {
        self.out.write_str(" {\n")?;
        self.notes_of(site, indent)?;
        self.body(body, indent + 1)?;
        write!(self.out, "{:1$}}}", "", indent * 2)
    }

    fn stmt(&mut self, stmt: &Stmt, indent: usize) -> Result {
        let site = TextLine::Stmt(self.kernel, self.stmt);
        self.stmt += 1;
        write!(self.out, "{:1$}", "", indent * 2)?;
        match stmt {
            Stmt::For { var, extent, kind, body } => {
                write!(self.out, "{kind} {var} in 0..{extent}")?;
                return self.block(site, body, indent);
            }
            Stmt::If { condition, then, otherwise } => {
                write!(self.out, "if {condition}")?;
                self.block(site, then, indent)?;
                if otherwise.is_empty() {
                    return Ok(());
                }
                self.out.write_str(" else {\n")?;
                self.body(otherwise, indent + 1)?;
                return write!(self.out, "{:1$}}}", "", indent * 2);
            }
            Stmt::Micro(micro) => self.micro(micro)?,
            Stmt::LetIndex { var, value } => write!(self.out, "let {var} = {value}")?,
            Stmt::Let { reg, value } => write!(self.out, "let {reg} = {value}")?,
            Stmt::Decl { reg, init } => write!(self.out, "var {reg} = {init}")?,
            Stmt::Accumulate { reg, op, value } => write!(self.out, "{reg} {op}= {value}")?,
            Stmt::Assign { reg, value } => write!(self.out, "{reg} = {value}")?,
            Stmt::Store { buf, index, value } => write!(self.out, "store {buf}[{index}] = {value}")?,
        }
        self.notes_after(site, indent)
    }

    /// Notes under a line whose end the caller writes.
    fn notes_after(&mut self, site: TextLine, indent: usize) -> Result {
        for note in self.notes.and_then(|notes| notes.get(&site)).into_iter().flatten() {
            write!(self.out, "\n{:1$}^ error: {note}", "", indent * 2)?;
        }
        Ok(())
    }

    fn micro(&mut self, micro: &Micro) -> Result {
        let Micro { m, n, a, b, reduce, c } = micro;
        write!(self.out, "micro {m}x{n} a={a}, b={b}, reduce=[")?;
        for (at, dim) in reduce.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(self.out, "{comma}({}, {}, {})", dim.extent, dim.a_stride, dim.b_stride)?;
        }
        let how = if c.accumulate { " add=" } else { "=" };
        write!(self.out, "], c{how}{}[{}]", c.buf, c.base)?;
        if c.stride == 1 { Ok(()) } else { write!(self.out, " stride {}", c.stride) }
    }
}

impl Display for Micro {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Stmt::Micro(Box::new(self.clone())).fmt(f)
    }
}
