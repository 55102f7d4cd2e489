//! How a loop's body uses the loop's variable: decides which counters the loop keeps.

use kernel::{Affine, BufRef, Expr, IndexExpr, IndexVar, Kernel, Stmt};

/// Counters a loop keeps at most: more would take registers from the body.
const MAX_COUNTERS: usize = 4;

/// What a body asks of an index variable.
#[derive(Default, Debug)]
pub(super) struct IndexUse {
    /// Its value, or a small multiple that an addressing mode computes.
    pub(super) value: bool,
    /// Other multiples in bytes.
    pub(super) strides: Vec<i64>,
    /// What the body addresses: a buffer, and the index without the variable and the constant part.
    pub(super) bases: Vec<(BufRef, Affine)>,
}

/// Finds what a loop's body asks of its variable. Only innermost loops get counters and bases: further out a multiplication costs
/// nothing.
pub(super) fn index_use(kernel: &Kernel, var: IndexVar, body: &[Stmt]) -> IndexUse {
    let mut scan = StrideScan { kernel, var, uses: IndexUse::default(), nested: false };
    scan.body(body);
    if scan.nested { IndexUse { value: true, ..IndexUse::default() } } else { scan.uses }
}

struct StrideScan<'a> {
    kernel: &'a Kernel,
    var: IndexVar,
    uses: IndexUse,
    nested: bool,
}

impl StrideScan<'_> {
    fn body(&mut self, body: &[Stmt]) {
        for stmt in body {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::For { .. } | Stmt::Micro(_) => self.nested = true,
            Stmt::LetIndex { value, .. } => self.index_expr(value),
            Stmt::Let { value, .. } | Stmt::Decl { init: value, .. } => self.expr(value),
            Stmt::Accumulate { value, .. } | Stmt::Assign { value, .. } => self.expr(value),
            Stmt::Store { buf, index, value } => {
                self.access(*buf, index);
                self.expr(value);
            }
            Stmt::If { condition, then, otherwise } => {
                self.expr(condition);
                self.body(then);
                self.body(otherwise);
            }
        }
    }

    fn index_expr(&mut self, index: &IndexExpr) {
        match index {
            IndexExpr::Affine(a) | IndexExpr::Div(a, _) | IndexExpr::Rem(a, _) | IndexExpr::Clamp(a, ..) => {
                self.uses.value |= a.coefficient(self.var) != 0;
            }
            IndexExpr::Checked { value, .. } => self.expr(value),
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Const(_) | Expr::Reg(_) => {}
            Expr::Index { index, .. } => self.uses.value |= index.coefficient(self.var) != 0,
            Expr::Load { buf, index, .. } => self.access(*buf, index),
            Expr::Apply(_, operands) => operands.iter().for_each(|o| self.expr(o)),
            Expr::Cast(_, value) | Expr::Bitcast(_, value) | Expr::Splat(_, value) | Expr::Fold(_, value) => {
                self.expr(value);
            }
        }
    }

    fn access(&mut self, buf: BufRef, index: &Affine) {
        let dtype = match buf {
            BufRef::Param(p) => self.kernel.params.get(p as usize).map(|p| p.dtype),
            BufRef::Local(l) => self.kernel.locals.get(l as usize).map(|l| l.dtype),
        };
        let base = index.clone().plus(-index.offset()).plus_term(self.var, -index.coefficient(self.var));
        if !self.uses.bases.iter().any(|(b, known)| *b == buf && *known == base) {
            self.uses.bases.push((buf, base));
        }
        let stride = index.coefficient(self.var) * dtype.map_or(1, |d| d.size_bytes() as i64);
        if stride == 0 || self.uses.strides.contains(&stride) {
            return;
        }
        if matches!(stride, 1 | 2 | 4 | 8) || self.uses.strides.len() == MAX_COUNTERS {
            self.uses.value = true;
        } else {
            self.uses.strides.push(stride);
        }
    }
}
