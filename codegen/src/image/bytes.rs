//! Images as bytes, and back.
//!
//! Numbers are little-endian; lists, texts and byte strings come after their length, choices after a number. Reading trusts nothing: what
//! isn't an image that [`Image::to_bytes`] could have written is an error, never a panic, and no more memory is taken than the bytes
//! account for. (That the code is what it should be can't be read off it: see the module's user.)

use super::{Emitter, Image, KernelCode, LibCall, LibFunction};
use kernel::{Access, Buffer, BufferId, BufferKind, Check, DType, Launch, Param};
use std::time::Duration;

/// The version of this form. What is written in another one isn't read.
pub const FORMAT_VERSION: u32 = 3;

/// Why bytes are no image.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a compiled program: {0}")]
pub struct ImageError(&'static str);

type Read<T> = Result<T, ImageError>;

impl Image {
    /// The image as bytes, without the texts and times of compiling.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer(Vec::with_capacity(self.code.len() + 4096));
        w.bytes(&self.code);
        w.list(&self.lib_calls, |w, call| {
            w.size(call.at);
            w.size(LibFunction::ALL.iter().position(|f| *f == call.function).unwrap_or(usize::MAX));
        });
        w.size(self.step);
        w.list(&self.kernels, Writer::kernel);
        w.list(&self.launches, |w, launch| {
            w.size(launch.kernel as usize);
            w.list(&launch.args, |w, id| w.size(id.0 as usize));
        });
        w.list(&self.buffers, Writer::buffer);
        w.option(self.arena_bytes);
        w.size(self.scratch_bytes);
        w.list(&self.checks, |w, check| {
            w.text(&check.message);
            w.list(check.loc.as_slice(), |w, loc| w.text(loc));
        });
        w.0
    }

    /// The image that these bytes, all of them, are.
    ///
    /// # Errors
    /// If they are none, or its parts contradict one another.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut r = Reader(bytes);
        let mut image = Self {
            code: r.bytes()?.to_vec(),
            lib_calls: r.list(|r| Ok(LibCall { at: r.size()?, function: r.one_of(&LibFunction::ALL)? }))?,
            step: r.size()?,
            kernels: r.list(Reader::kernel)?,
            launches: r.list(|r| Ok(Launch { kernel: r.number()?, args: r.list(|r| Ok(BufferId(r.number()?)))? }))?,
            launch_args: vec![],
            buffers: r.list(Reader::buffer)?,
            arena_bytes: r.option()?,
            scratch_bytes: r.size()?,
            checks: r.list(|r| Ok(Check { message: r.text()?, loc: r.list(Reader::text)?.pop() }))?,
        };
        if !r.0.is_empty() {
            return Err(ImageError("bytes after the end"));
        }
        image.launch_args = image.first_args();
        image.check()?;
        Ok(image)
    }

    /// For each launch, the position of its first parameter in the table of addresses.
    fn first_args(&self) -> Vec<usize> {
        let mut next = 0;
        let place = |launch: &Launch| {
            next += launch.args.len();
            next - launch.args.len()
        };
        self.launches.iter().map(place).collect()
    }

    /// Checks what refers to the code.
    fn check(&self) -> Read<()> {
        let code = self.code.len();
        let starts = self.kernels.iter().map(|k| k.start).chain([self.step]);
        if starts.into_iter().any(|start| start >= code) {
            return Err(ImageError("a function outside of the code"));
        }
        if self.lib_calls.iter().any(|call| call.at.checked_add(8).is_none_or(|end| end > code)) {
            return Err(ImageError("an address outside of the code"));
        }
        if self.kernels.iter().any(|k| k.scratch_bytes > self.scratch_bytes) {
            return Err(ImageError("a kernel with more scratch memory than there is"));
        }
        Ok(())
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn size(&mut self, size: usize) {
        self.0.extend((size as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.size(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.size(items.len());
        items.iter().for_each(|item| each(self, item));
    }

    fn option(&mut self, value: Option<usize>) {
        self.list(value.as_slice(), |w, value| w.size(*value));
    }

    fn dtype(&mut self, dtype: DType) {
        self.size(DType::ALL.iter().position(|d| *d == dtype).unwrap_or(usize::MAX));
    }

    fn kernel(&mut self, kernel: &KernelCode) {
        self.text(&kernel.name);
        self.list(&kernel.params, |w, param| {
            w.dtype(param.dtype);
            w.size(param.len);
            w.size(ACCESSES.iter().position(|a| *a == param.access).unwrap_or(usize::MAX));
        });
        self.size(kernel.start);
        self.size(kernel.scratch_bytes);
        self.option(kernel.parallel);
        self.size(kernel.code_bytes);
        match &kernel.emitter {
            Emitter::Portable { because } => {
                self.size(0);
                self.list(because.as_slice(), |w, why| w.text(why));
            }
            Emitter::X86 => self.size(1),
        }
    }

    fn buffer(&mut self, buffer: &Buffer) {
        self.dtype(buffer.dtype);
        self.size(buffer.len);
        self.option(buffer.offset);
        match &buffer.kind {
            BufferKind::Temp => self.size(0),
            BufferKind::Input { name } => self.named(1, name),
            BufferKind::Output { name } => self.named(2, name),
            BufferKind::State { name } => self.named(3, name),
            BufferKind::Next { name } => self.named(4, name),
            BufferKind::Constant { bytes } => {
                self.size(5);
                self.bytes(bytes);
            }
        }
    }

    fn named(&mut self, kind: usize, name: &str) {
        self.size(kind);
        self.text(name);
    }
}

const ACCESSES: [Access; 4] = [Access::Read, Access::Write, Access::ReadWrite, Access::Stream];

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn size(&mut self) -> Read<usize> {
        let (first, rest) = self.0.split_first_chunk::<8>().ok_or(ImageError("the end is missing"))?;
        self.0 = rest;
        usize::try_from(u64::from_le_bytes(*first)).map_err(|_| ImageError("a size out of range"))
    }

    fn number(&mut self) -> Read<u32> {
        u32::try_from(self.size()?).map_err(|_| ImageError("a number out of range"))
    }

    fn bytes(&mut self) -> Read<&'b [u8]> {
        let len = self.size()?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(ImageError("the end is missing"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Read<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| ImageError("text that is not UTF-8"))
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let len = self.size()?;
        // Every item takes at least eight bytes.
        if len > self.0.len() / 8 {
            return Err(ImageError("a list longer than the bytes"));
        }
        (0..len).map(|_| each(self)).collect()
    }

    fn option(&mut self) -> Read<Option<usize>> {
        Ok(self.list(Self::size)?.pop())
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Read<T> {
        all.get(self.size()?).copied().ok_or(ImageError("an unknown choice"))
    }

    fn kernel(&mut self) -> Read<KernelCode> {
        Ok(KernelCode {
            name: self.text()?,
            params: self
                .list(|r| Ok(Param { dtype: r.one_of(&DType::ALL)?, len: r.size()?, access: r.one_of(&ACCESSES)? }))?,
            start: self.size()?,
            scratch_bytes: self.size()?,
            parallel: self.option()?,
            code_bytes: self.size()?,
            emitter: match self.size()? {
                0 => Emitter::Portable { because: self.list(Self::text)?.pop() },
                1 => Emitter::X86,
                _ => return Err(ImageError("an unknown emitter")),
            },
            compile_time: Duration::ZERO,
            dump: None,
        })
    }

    fn buffer(&mut self) -> Read<Buffer> {
        let (dtype, len, offset) = (self.one_of(&DType::ALL)?, self.size()?, self.option()?);
        let kind = match self.size()? {
            0 => BufferKind::Temp,
            1 => BufferKind::Input { name: self.text()? },
            2 => BufferKind::Output { name: self.text()? },
            3 => BufferKind::State { name: self.text()? },
            4 => BufferKind::Next { name: self.text()? },
            5 => BufferKind::Constant { bytes: self.bytes()?.into() },
            _ => return Err(ImageError("an unknown kind of buffer")),
        };
        Ok(Buffer { dtype, len, kind, offset })
    }
}
