//! Names that a kernel doesn't use yet.

use crate::walk::visit_stmts;
use crate::{IndexVar, Reg, Stmt};

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
