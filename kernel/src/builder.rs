//! Building kernels: fresh names, parameters, locals.

use crate::walk::visit_stmts;
use crate::{Access, BufRef, Code, DType, Expr, IndexVar, Kernel, Local, Param, Reg, Stmt};

/// Hands out names that a kernel doesn't use yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fresh {
    next_index: u32,
    next_reg: u32,
}

impl Fresh {
    /// For a kernel without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Above every name that the statements bind.
    pub fn above(body: &[Stmt]) -> Self {
        let mut fresh = Self::default();
        visit_stmts(body, &mut |stmt| match stmt {
            Stmt::For { var, .. } | Stmt::LetIndex { var, .. } => fresh.reserve_index(*var),
            Stmt::Let { reg, .. } | Stmt::Decl { reg, .. } => fresh.reserve_reg(*reg),
            _ => {}
        });
        fresh
    }

    fn reserve_index(&mut self, var: IndexVar) {
        self.next_index = self.next_index.max(var.0.saturating_add(1));
    }

    fn reserve_reg(&mut self, reg: Reg) {
        self.next_reg = self.next_reg.max(reg.0.saturating_add(1));
    }

    /// An index variable that is not in use.
    pub fn index(&mut self) -> IndexVar {
        self.next_index += 1;
        IndexVar(self.next_index - 1)
    }

    /// A value's name that is not in use.
    pub fn reg(&mut self) -> Reg {
        self.next_reg += 1;
        Reg(self.next_reg - 1)
    }
}

/// Collects parameters, locals and names of a kernel; statements are made by the caller.
#[derive(Clone, Debug)]
pub struct KernelBuilder {
    name: String,
    params: Vec<Param>,
    locals: Vec<Local>,
    fresh: Fresh,
}

impl KernelBuilder {
    /// An empty kernel. The name has letters, digits and `_` only.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), params: vec![], locals: vec![], fresh: Fresh::new() }
    }

    /// Goes on with a kernel: its names are taken. Returns its body, too.
    pub fn reopen(kernel: Kernel) -> (Self, Vec<Stmt>) {
        let fresh = Fresh::above(&kernel.body);
        let (name, Code { params, locals, body }) = kernel.into_parts();
        (Self { name, params, locals, fresh }, body)
    }

    /// Adds a parameter of `len` elements.
    pub fn param(&mut self, dtype: DType, len: usize, access: Access) -> BufRef {
        self.params.push(Param { dtype, len, access });
        BufRef::Param(self.params.len() as u32 - 1)
    }

    /// Adds a scratch buffer of `len` elements.
    pub fn local(&mut self, dtype: DType, len: usize) -> BufRef {
        self.locals.push(Local { dtype, len });
        BufRef::Local(self.locals.len() as u32 - 1)
    }

    /// An index variable that is not in use.
    pub fn index(&mut self) -> IndexVar {
        self.fresh.index()
    }

    /// A value's name that is not in use.
    pub fn reg(&mut self) -> Reg {
        self.fresh.reg()
    }

    /// The names' source, for helpers that take one.
    pub fn fresh(&mut self) -> &mut Fresh {
        &mut self.fresh
    }

    /// Binds a value: pushes the `let` and returns its use.
    pub fn bind(&mut self, body: &mut Vec<Stmt>, value: Expr) -> Expr {
        let reg = self.reg();
        body.push(Stmt::Let { reg, value });
        Expr::Reg(reg)
    }

    /// The kernel with that body.
    pub fn finish(self, body: Vec<Stmt>) -> Kernel {
        Kernel::new(self.name, Code { params: self.params, locals: self.locals, body })
    }
}
