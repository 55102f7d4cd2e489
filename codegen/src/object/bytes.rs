//! Objects as bytes, and back.
//!
//! Numbers are little-endian; lists, texts and byte strings come after their length, choices after a number. Reading trusts nothing: what
//! isn't an object that [`Object::to_bytes`] could have written is an error, never a panic, and no more memory is taken than the bytes
//! account for. (That the code is what it should be can't be read off it: see the module's user.)

use super::{Backend, Function, KernelCode, LIB_CALLS, Object, first_args};
use cranelift::module::{FuncId, ModuleReloc, ModuleRelocTarget};
use kernel::{Access, Buffer, BufferId, BufferKind, Caches, Check, DType, InstructionSet, Launch, Param, Target};
use std::time::Duration;

/// The version of this form. What is written in another one isn't read.
pub const FORMAT_VERSION: u32 = 4;

/// Why bytes are no object, or an object contradicts itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a compiled program: {0}")]
pub struct ObjectError(pub(super) &'static str);

type Read<T> = Result<T, ObjectError>;
type Written = Result<(), ObjectError>;

const UNKNOWN_CHOICE: ObjectError = ObjectError("an unknown choice");
const UNKNOWN_TARGET: ObjectError = ObjectError("a reference to something unknown");

impl Object {
    /// The object as bytes, without the texts and times of compiling.
    ///
    /// # Errors
    /// If it refers to something in a way that this form has no word for, which no checked object does.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ObjectError> {
        let mut w = Writer(Vec::with_capacity(self.code_bytes() + 4096));
        w.target(&self.target);
        w.try_list(&self.functions, |w, function| {
            w.size(function.align as usize);
            w.bytes(&function.bytes);
            w.try_list(&function.relocs, |w, reloc| w.reloc(reloc, self))
        })?;
        w.size(self.step.as_u32() as usize);
        w.try_list(&self.kernels, Writer::kernel)?;
        w.list(&self.launches, |w, launch| {
            w.size(launch.kernel as usize);
            w.list(&launch.args, |w, id| w.size(id.0 as usize));
        });
        w.try_list(&self.buffers, Writer::buffer)?;
        w.option(self.arena_bytes);
        w.size(self.scratch_bytes);
        w.list(&self.checks, |w, check| {
            w.text(&check.message);
            w.list(check.loc.as_slice(), |w, loc| w.text(loc));
        });
        Ok(w.0)
    }

    /// The object that these bytes, all of them, are.
    ///
    /// # Errors
    /// If they are none, or its parts contradict one another.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ObjectError> {
        let mut r = Reader(bytes);
        let mut object = Self {
            target: r.target()?,
            functions: vec![],
            step: FuncId::from_u32(0),
            kernels: vec![],
            launches: vec![],
            launch_args: vec![],
            buffers: vec![],
            arena_bytes: None,
            scratch_bytes: 0,
            checks: vec![],
        };
        object.functions = r.list(|r| {
            Ok(Function { align: r.size()? as u64, bytes: r.bytes()?.to_vec(), relocs: r.list(|r| r.reloc(&object))? })
        })?;
        object.step = r.function()?;
        object.kernels = r.list(Reader::kernel)?;
        object.launches = r.list(|r| {
            let (kernel, args) = (r.number()?, r.list(|r| Ok(BufferId(r.number()?)))?);
            Ok(Launch { kernel, args, origins: vec![] })
        })?;
        object.buffers = r.list(Reader::buffer)?;
        object.arena_bytes = r.option()?;
        object.scratch_bytes = r.size()?;
        object.checks = r.list(|r| Ok(Check { message: r.text()?, loc: r.list(Reader::text)?.pop() }))?;
        if !r.0.is_empty() {
            return Err(ObjectError("bytes after the end"));
        }
        object.launch_args = first_args(&object.launches);
        object.check(false)?;
        Ok(object)
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

    fn try_list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T) -> Written) -> Written {
        self.size(items.len());
        items.iter().try_for_each(|item| each(self, item))
    }

    /// One of several, by its number among them.
    fn choice<T: PartialEq>(&mut self, all: &[T], chosen: &T) -> Written {
        self.size(all.iter().position(|one| one == chosen).ok_or(UNKNOWN_CHOICE)?);
        Ok(())
    }

    fn option(&mut self, value: Option<usize>) {
        self.list(value.as_slice(), |w, value| w.size(*value));
    }

    fn target(&mut self, target: &Target) {
        self.text(&target.triple().to_string());
        self.text(target.instruction_set().name());
        let caches = target.caches();
        [caches.l1_bytes, caches.l2_bytes, caches.l3_bytes].into_iter().for_each(|bytes| self.size(bytes));
    }

    /// A reference: what it is to, and how it is filled in, by numbers of its object's own lists.
    fn reloc(&mut self, reloc: &ModuleReloc, object: &Object) -> Written {
        self.size(reloc.offset as usize);
        let kind = object.reloc_kinds().iter().position(|(kind, _)| *kind == reloc.kind);
        self.size(kind.ok_or(UNKNOWN_CHOICE)?);
        self.size(reloc.addend as usize);
        match &reloc.name {
            ModuleRelocTarget::User { index, .. } => {
                self.size(0);
                self.size(*index as usize);
            }
            ModuleRelocTarget::FunctionOffset(id, offset) => {
                self.size(1);
                self.size(id.as_u32() as usize);
                self.size(*offset as usize);
            }
            ModuleRelocTarget::LibCall(call) => {
                self.size(2);
                self.choice(&LIB_CALLS, call)?;
            }
            ModuleRelocTarget::KnownSymbol(_) => return Err(UNKNOWN_TARGET),
        }
        Ok(())
    }

    fn kernel(&mut self, kernel: &KernelCode) -> Written {
        self.text(&kernel.name);
        self.try_list(&kernel.params, |w, param| {
            w.choice(&DType::ALL, &param.dtype)?;
            w.size(param.len);
            w.choice(&ACCESSES, &param.access)
        })?;
        self.size(kernel.function.as_u32() as usize);
        self.size(kernel.scratch_bytes);
        self.option(kernel.parallel);
        self.size(kernel.code_bytes);
        match &kernel.emitter {
            Backend::Portable { because } => {
                self.size(0);
                self.list(because.as_slice(), |w, why| w.text(why));
            }
            Backend::X86 => self.size(1),
        }
        Ok(())
    }

    fn buffer(&mut self, buffer: &Buffer) -> Written {
        self.choice(&DType::ALL, &buffer.dtype)?;
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
        Ok(())
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
        let (first, rest) = self.0.split_first_chunk::<8>().ok_or(ObjectError("the end is missing"))?;
        self.0 = rest;
        usize::try_from(u64::from_le_bytes(*first)).map_err(|_| ObjectError("a size out of range"))
    }

    fn number(&mut self) -> Read<u32> {
        u32::try_from(self.size()?).map_err(|_| ObjectError("a number out of range"))
    }

    fn function(&mut self) -> Read<FuncId> {
        let number = self.number()?;
        // The one number that `FuncId` can't be, and panics at.
        if number == u32::MAX { Err(ObjectError("a number out of range")) } else { Ok(FuncId::from_u32(number)) }
    }

    fn bytes(&mut self) -> Read<&'b [u8]> {
        let len = self.size()?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(ObjectError("the end is missing"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Read<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| ObjectError("text that is not UTF-8"))
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let len = self.size()?;
        // Every item takes at least eight bytes.
        if len > self.0.len() / 8 {
            return Err(ObjectError("a list longer than the bytes"));
        }
        (0..len).map(|_| each(self)).collect()
    }

    fn option(&mut self) -> Read<Option<usize>> {
        Ok(self.list(Self::size)?.pop())
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Read<T> {
        all.get(self.size()?).copied().ok_or(UNKNOWN_CHOICE)
    }

    fn target(&mut self) -> Read<Target> {
        let triple = self.text()?.parse().map_err(|_| ObjectError("an unknown triple"))?;
        let set: InstructionSet = self.text()?.parse().map_err(|_| ObjectError("an unknown instruction set"))?;
        let target = Target::new(triple, set).map_err(|_| ObjectError("an impossible target"))?;
        Ok(target.with_caches(Caches { l1_bytes: self.size()?, l2_bytes: self.size()?, l3_bytes: self.size()? }))
    }

    fn reloc(&mut self, object: &Object) -> Read<ModuleReloc> {
        Ok(ModuleReloc {
            offset: self.number()?,
            kind: self.one_of(object.reloc_kinds())?.0,
            addend: self.size()? as i64,
            name: match self.size()? {
                0 => ModuleRelocTarget::user(0, self.number()?),
                1 => ModuleRelocTarget::FunctionOffset(self.function()?, self.number()?),
                2 => ModuleRelocTarget::LibCall(self.one_of(&LIB_CALLS)?),
                _ => return Err(UNKNOWN_TARGET),
            },
        })
    }

    fn kernel(&mut self) -> Read<KernelCode> {
        Ok(KernelCode {
            name: self.text()?,
            params: self
                .list(|r| Ok(Param { dtype: r.one_of(&DType::ALL)?, len: r.size()?, access: r.one_of(&ACCESSES)? }))?,
            function: self.function()?,
            scratch_bytes: self.size()?,
            parallel: self.option()?,
            code_bytes: self.size()?,
            emitter: match self.size()? {
                0 => Backend::Portable { because: self.list(Self::text)?.pop() },
                1 => Backend::X86,
                _ => return Err(ObjectError("an unknown emitter")),
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
            _ => return Err(ObjectError("an unknown kind of buffer")),
        };
        Ok(Buffer { dtype, len, kind, offset })
    }
}
