//! The buffers of a kernel under construction: parameters, which stand for buffers of the program, and scratch memory.

use ir::DType;
use kernel::{Access, BufRef, BufferId, Code, Kernel, Local, Param, Stmt};

/// What a kernel reads and writes.
#[derive(Default)]
pub(super) struct KernelBuffers {
    params: Vec<(BufferId, Param)>,
    /// Scratch memory, by its number.
    pub(super) locals: Vec<Local>,
}

impl KernelBuffers {
    /// The parameter bound to a buffer, used in that way too.
    pub(super) fn param(&mut self, buffer: BufferId, dtype: DType, len: usize, access: Access) -> BufRef {
        if let Some(at) = self.params.iter().position(|(b, _)| *b == buffer) {
            let param = &mut self.params[at].1;
            if param.access != access {
                param.access = Access::ReadWrite;
            }
            return BufRef::Param(at as u32);
        }
        self.params.push((buffer, Param { dtype, len, access }));
        BufRef::Param(self.params.len() as u32 - 1)
    }

    /// A new scratch buffer.
    pub(super) fn local(&mut self, dtype: DType, len: usize) -> BufRef {
        self.locals.push(Local { dtype, len });
        BufRef::Local(self.locals.len() as u32 - 1)
    }

    /// The number of elements of a buffer.
    pub(super) fn len(&self, buf: BufRef) -> usize {
        match buf {
            BufRef::Param(at) => self.params.get(at as usize).map_or(0, |(_, p)| p.len),
            BufRef::Local(at) => self.locals.get(at as usize).map_or(0, |l| l.len),
        }
    }

    /// The finished kernel, and the buffers that its parameters are bound to.
    pub(super) fn finish(self, name: String, body: Vec<Stmt>) -> (Kernel, Vec<BufferId>) {
        let (args, params) = self.params.into_iter().unzip();
        (Kernel::new(name, Code { params, locals: self.locals, body }), args)
    }
}
