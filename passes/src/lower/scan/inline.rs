//! Kernels inside a kernel: their statements, with names and buffers of the one around.

use crate::lower::buffers::KernelBuffers;
use crate::lower::subview::Subview;
use kernel::walk::{map_exprs, refresh};
use kernel::{Access, Affine, BufRef, BufferId, DType, Expr, Fresh, IndexExpr, Kernel, Stmt};
use std::collections::BTreeMap;

/// The buffers and names of the kernel around.
#[derive(Default)]
pub(super) struct Inliner {
    pub(super) fresh: Fresh,
    buffers: KernelBuffers,
    /// The scratch buffers that stand for buffers of the body.
    of_body: BTreeMap<BufferId, BufRef>,
}

impl Inliner {
    /// The parameter bound to a buffer, used in that way too.
    pub(super) fn param(&mut self, buffer: BufferId, dtype: DType, len: usize, access: Access) -> BufRef {
        self.buffers.param(buffer, dtype, len, access)
    }

    /// The scratch buffer that stands for a buffer of the body.
    pub(super) fn local(&mut self, buffer: BufferId, dtype: DType, len: usize) -> BufRef {
        if let Some(&local) = self.of_body.get(&buffer) {
            return local;
        }
        let local = self.buffers.local(dtype, len);
        self.of_body.insert(buffer, local);
        local
    }

    /// The number of elements of a buffer.
    pub(super) fn len(&self, buf: BufRef) -> usize {
        self.buffers.len(buf)
    }

    /// A loop that stores `len` elements: a constant, or what is loaded from there on.
    pub(super) fn copy(&mut self, len: usize, from: Expr, to: Subview) -> Stmt {
        let var = self.fresh.index();
        let mut value = from;
        value.map_indices(&mut |index| *index = index.clone().plus_term(var, 1));
        Stmt::serial(var, len, vec![Stmt::Store { buf: to.buf, index: to.offset.plus_term(var, 1), value }])
    }

    /// The statements of a kernel whose parameters are at those places; `checks` is added to its numbers of checks.
    pub(super) fn inline(&mut self, kernel: &Kernel, params: &[Subview], checks: u32) -> Vec<Stmt> {
        let first = self.buffers.locals.len() as u32;
        self.buffers.locals.extend(kernel.locals.iter().cloned());
        let mut body = refresh(&kernel.body, &mut self.fresh);
        rebase(&mut body, &|buf| match buf {
            BufRef::Param(at) => params[at as usize].clone(),
            BufRef::Local(at) => BufRef::Local(first + at).into(),
        });
        renumber_checks(&mut body, checks);
        body
    }

    /// The finished kernel, and the buffers of its parameters.
    pub(super) fn finish(self, name: &str, body: Vec<Stmt>) -> (Kernel, Vec<BufferId>) {
        self.buffers.finish(name.into(), body)
    }
}

/// Moves every access to where its buffer is.
fn rebase(body: &mut [Stmt], place: &dyn Fn(BufRef) -> Subview) {
    let mut stack: Vec<&mut Stmt> = body.iter_mut().collect();
    while let Some(stmt) = stack.pop() {
        match stmt {
            Stmt::Store { buf, index, .. } => moved(buf, index, place),
            Stmt::Micro(micro) => {
                moved(&mut micro.a.buf, &mut micro.a.base, place);
                moved(&mut micro.b.buf, &mut micro.b.base, place);
                moved(&mut micro.c.buf, &mut micro.c.base, place);
            }
            _ => {}
        }
        for inner in stmt.bodies_mut() {
            stack.extend(inner.iter_mut());
        }
    }
    map_exprs(body, &mut |expr| match expr {
        Expr::Load { mut buf, mut index, lanes, stride } => {
            moved(&mut buf, &mut index, place);
            Expr::Load { buf, index, lanes, stride }
        }
        other => other,
    });
}

fn moved(buf: &mut BufRef, index: &mut Affine, place: &dyn Fn(BufRef) -> Subview) {
    let Subview { buf: to, offset } = place(*buf);
    *buf = to;
    *index = index.add(&offset);
}

/// Adds to the numbers of all checks.
pub(super) fn renumber_checks(body: &mut [Stmt], by: u32) {
    for stmt in body {
        if let Stmt::LetIndex { value: IndexExpr::Checked { check, .. }, .. } = stmt {
            *check += by;
        }
        for inner in stmt.bodies_mut() {
            renumber_checks(inner, by);
        }
    }
}
