//! When a kernel may write a result over one of its operands.

use kernel::walk::visit_exprs;
use kernel::{Access, Affine, BufRef, Expr, IndexVar, Kernel, Stmt};

/// True if binding parameters `from` (read) and `to` (written) to the same memory changes nothing: every iteration loads the elements
/// of `from` at just the place where it stores to `to`, each place belongs to one iteration, and no load follows the store.
pub(super) fn may_share(kernel: &Kernel, from: usize, to: usize) -> bool {
    let (a, b) = (&kernel.params[from], &kernel.params[to]);
    if from == to || a.len != b.len || a.dtype.size_bytes() != b.dtype.size_bytes() || a.access != Access::Read {
        return false;
    }
    let mut check = Check { from: BufRef::Param(from as u32), to: BufRef::Param(to as u32), loops: vec![], ok: true };
    check.body(&kernel.body);
    check.ok
}

struct Check {
    from: BufRef,
    to: BufRef,
    /// The loops around, with their extents.
    loops: Vec<(IndexVar, usize)>,
    ok: bool,
}

impl Check {
    fn body(&mut self, body: &[Stmt]) {
        if touches(body, self.from) && stores(body, self.to) && is_flat(body) {
            self.flat(body);
            return;
        }
        // In nested code, each statement is on its own; two that both concern the pair are too many to tell apart.
        let (from, to) = (self.from, self.to);
        let concerned: Vec<&Stmt> = body.iter().filter(|s| concerns(s, from, to)).collect();
        self.ok &= concerned.len() <= 1;
        for stmt in concerned {
            match stmt {
                Stmt::For { var, extent, body, .. } => {
                    self.loops.push((*var, *extent));
                    self.body(body);
                    self.loops.pop();
                }
                Stmt::Micro(m) if [m.a.buf, m.b.buf].iter().all(|b| *b != from && *b != to) => {
                    self.ok &= m.init.as_ref().is_none_or(|e| !expr_touches(e, self.from) && !expr_touches(e, self.to));
                    self.loops.extend([(m.i, m.m), (m.j, m.n)]);
                    self.body(&m.body);
                    self.loops.truncate(self.loops.len() - 2);
                }
                _ => self.ok = false,
            }
        }
    }

    /// Straight-line code with loads of `from` and stores to `to`.
    fn flat(&mut self, body: &[Stmt]) {
        let mut stored: Vec<&Affine> = vec![];
        let mut loaded: Vec<(&Affine, usize)> = vec![];
        for (at, stmt) in body.iter().enumerate() {
            for expr in stmt.exprs() {
                expr.visit(&mut |e| match e {
                    Expr::Load { buf, index, lanes, stride } if *buf == self.from => {
                        loaded.push((index, at));
                        self.ok &= *lanes == 1 || *stride == 1;
                    }
                    Expr::Load { buf, .. } if *buf == self.to => self.ok = false,
                    _ => {}
                });
            }
            if let Stmt::Store { buf, index, .. } = stmt {
                if *buf == self.to {
                    // A load after the store of its own place would see the new value.
                    stored.push(index);
                }
                self.ok &= *buf != self.from;
            }
        }
        self.ok &= stored.iter().all(|s| self.is_injective(s));
        self.ok &= loaded.iter().all(|(l, at)| stored.contains(l) && !stored_before(body, self.to, l, *at));
    }

    /// True if each element of the index's range belongs to one iteration of the loops around: taken from the smallest, each step
    /// is longer than what the smaller ones span.
    fn is_injective(&self, index: &Affine) -> bool {
        let mut steps: Vec<(i64, i64)> = vec![];
        for (var, extent) in self.loops.iter().filter(|(_, n)| *n > 1) {
            let c = index.coefficient(*var).abs();
            if c == 0 {
                return false;
            }
            steps.push((c, *extent as i64 - 1));
        }
        if index.terms().iter().any(|(v, _)| !self.loops.iter().any(|(l, _)| l == v)) {
            return false;
        }
        steps.sort_unstable();
        let mut span = 0;
        steps.into_iter().all(|(step, count)| {
            let fits = step > span;
            span += step * count;
            fits
        })
    }
}

fn stored_before(body: &[Stmt], to: BufRef, index: &Affine, at: usize) -> bool {
    body[..at].iter().any(|s| matches!(s, Stmt::Store { buf, index: i, .. } if *buf == to && i == index))
}

fn is_flat(body: &[Stmt]) -> bool {
    body.iter().all(|s| s.bodies().is_empty())
}

fn expr_touches(expr: &Expr, buf: BufRef) -> bool {
    let mut found = false;
    expr.visit(&mut |e| found |= matches!(e, Expr::Load { buf: b, .. } if *b == buf));
    found
}

fn touches(body: &[Stmt], buf: BufRef) -> bool {
    let mut found = false;
    visit_exprs(body, &mut |e| found |= matches!(e, Expr::Load { buf: b, .. } if *b == buf));
    found
}

fn stores(body: &[Stmt], buf: BufRef) -> bool {
    body.iter().any(|s| match s {
        Stmt::Store { buf: b, .. } => *b == buf,
        other => other.bodies().iter().any(|inner| stores(inner, buf)),
    })
}

/// True if a statement reads or writes either of the pair.
fn concerns(stmt: &Stmt, from: BufRef, to: BufRef) -> bool {
    let one = std::slice::from_ref(stmt);
    let factor = |b: BufRef| match stmt {
        Stmt::Micro(m) => m.a.buf == b || m.b.buf == b,
        other => other.bodies().iter().any(|inner| inner.iter().any(|s| concerns(s, b, b))),
    };
    [from, to].into_iter().any(|b| touches(one, b) || stores(one, b) || factor(b))
}
