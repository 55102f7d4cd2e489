//! How much a kernel computes and how much memory it touches, counted from its text.

use crate::{Access, BufRef, Expr, IndexExpr, Kernel, Reg, Stmt};
use ir::ScalarOp;
use std::collections::BTreeMap;

/// What one launch of a kernel does, whatever machine it runs on.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Work {
    /// Operations on elements, two for a fused multiply-add; of an `if`, the larger branch. Moves and address computations don't count.
    pub operations: f64,
    /// Bytes of the parameters that it reads, each element once however often it is loaded.
    pub read_bytes: f64,
    /// Bytes of the parameters that it writes, likewise.
    pub written_bytes: f64,
}

impl Kernel {
    /// What a launch does.
    pub fn work(&self) -> Work {
        let mut counter =
            Counter { lanes: BTreeMap::new(), loaded: BTreeMap::new(), stored: BTreeMap::new(), operations: 0.0 };
        counter.body(&self.body, 1.0);
        let bytes = |touched: &BTreeMap<u32, f64>, counts: fn(Access) -> bool| {
            let each = self.params.iter().enumerate().filter(|(_, p)| counts(p.access)).map(|(at, p)| {
                let elements = touched.get(&(at as u32)).copied().unwrap_or(0.0);
                elements.min(p.len as f64) * p.dtype.size_bytes() as f64
            });
            // The sum of nothing is -0.
            each.fold(0.0, |sum: f64, bytes| sum + bytes)
        };
        Work {
            operations: counter.operations,
            read_bytes: bytes(&counter.loaded, Access::loads),
            written_bytes: bytes(&counter.stored, Access::stores),
        }
    }
}

struct Counter {
    lanes: BTreeMap<Reg, f64>,
    /// Elements loaded of each parameter, and stored.
    loaded: BTreeMap<u32, f64>,
    stored: BTreeMap<u32, f64>,
    operations: f64,
}

fn touch(of: &mut BTreeMap<u32, f64>, buf: BufRef, elements: f64) {
    if let BufRef::Param(at) = buf {
        *of.entry(at).or_default() += elements;
    }
}

fn operations_of(op: ScalarOp) -> f64 {
    if op == ScalarOp::FMA { 2.0 } else { 1.0 }
}

impl Counter {
    fn body(&mut self, stmts: &[Stmt], times: f64) {
        stmts.iter().for_each(|stmt| self.stmt(stmt, times));
    }

    fn stmt(&mut self, stmt: &Stmt, times: f64) {
        match stmt {
            Stmt::For { extent, body, .. } => self.body(body, times * *extent as f64),
            Stmt::LetIndex { value: IndexExpr::Checked { value, .. }, .. } => {
                self.expr(value, times);
            }
            Stmt::LetIndex { .. } => {}
            Stmt::Let { reg, value } | Stmt::Decl { reg, init: value } => {
                let lanes = self.expr(value, times);
                self.lanes.insert(*reg, lanes);
            }
            Stmt::Assign { value, .. } => {
                self.expr(value, times);
            }
            Stmt::Accumulate { value, .. } => self.operations += times * self.expr(value, times),
            Stmt::Store { buf, value, .. } => {
                let lanes = self.expr(value, times);
                touch(&mut self.stored, *buf, times * lanes);
            }
            Stmt::If { condition, then, otherwise } => {
                self.expr(condition, times);
                self.either(then, otherwise, times);
            }
            Stmt::Micro(micro) => {
                let tile = times * (micro.m * micro.n) as f64;
                let steps: f64 = micro.reduce.iter().map(|d| d.extent as f64).product();
                // As many products a step as elements of a factor.
                let elements = steps * micro.b.stride as f64;
                self.operations += 2.0 * tile * elements;
                touch(&mut self.loaded, micro.a.buf, times * micro.m as f64 * elements);
                touch(&mut self.loaded, micro.b.buf, times * micro.n as f64 * elements);
                touch(&mut self.stored, micro.c.buf, tile);
                if micro.c.accumulate {
                    self.operations += tile;
                    touch(&mut self.loaded, micro.c.buf, tile);
                }
            }
        }
    }

    /// Counts the branch with more operations.
    fn either(&mut self, then: &[Stmt], otherwise: &[Stmt], times: f64) {
        let before = self.operations;
        let mut counts = [then, otherwise].map(|branch| {
            let fresh =
                Self { lanes: self.lanes.clone(), loaded: BTreeMap::new(), stored: BTreeMap::new(), operations: 0.0 };
            let mut counter = fresh;
            counter.body(branch, times);
            counter
        });
        counts.sort_by(|a, b| a.operations.total_cmp(&b.operations));
        let [_, most] = counts;
        self.operations = before + most.operations;
        for (of, from) in [(&mut self.loaded, most.loaded), (&mut self.stored, most.stored)] {
            for (at, elements) in from {
                *of.entry(at).or_default() += elements;
            }
        }
    }

    /// Counts an expression that is evaluated that many times; gives its lanes.
    fn expr(&mut self, expr: &Expr, times: f64) -> f64 {
        match expr {
            Expr::Const(_) => 1.0,
            Expr::Reg(reg) => self.lanes.get(reg).copied().unwrap_or(1.0),
            Expr::Index { lanes, .. } => f64::from(*lanes),
            Expr::Load { buf, lanes, .. } => {
                touch(&mut self.loaded, *buf, times * f64::from(*lanes));
                f64::from(*lanes)
            }
            Expr::Splat(lanes, value) => {
                self.expr(value, times);
                f64::from(*lanes)
            }
            Expr::Cast(_, value) | Expr::Bitcast(_, value) => self.expr(value, times),
            Expr::Apply(op, operands) => {
                let lanes = operands.iter().map(|operand| self.expr(operand, times)).fold(1.0, f64::max);
                self.operations += times * lanes * operations_of(*op);
                lanes
            }
            Expr::Fold(_, value) => {
                self.operations += times * (self.expr(value, times) - 1.0);
                1.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Program;

    fn work(kernel: &str) -> Work {
        let text = format!("program \"p\"\n{kernel}");
        text.parse::<Program>().unwrap().kernels[0].work()
    }

    #[test]
    fn a_tile_counts_its_multiply_adds_and_each_element_once() {
        let found = work(
            "kernel t(p0: read f32[48], p1: read f32[64], p2: write f32[48]) {
               local l0: f32[48]
               for i0 in 0..10 {
                 micro 6x8 a=p0[0] stride 8, b=p1[0], reduce=[(8, 1, 8)], c=l0[0] stride 8
                 for i1 in 0..48 { store p2[i1] = max(load l0[i1], 0.0f32) }
               }
             }",
        );
        assert_eq!(found, Work { operations: 10.0 * 48.0 * 17.0, read_bytes: 4.0 * 112.0, written_bytes: 4.0 * 48.0 });
    }

    #[test]
    fn vectors_count_their_lanes_and_sparse_loads_only_what_they_load() {
        let found = work(
            "kernel v(p0: read f32[1000], p1: write f32[4]) {
               vector i0 in 0..3 { store p1[0] = fma(load.x4 p0[i0*4], splat.x4(0.5f32), splat.x4(1.0f32)) }
               var v0 = splat.x4(0.0f32)
               for i1 in 0..2 { v0 add= load.x4 p0[i1*4] }
               if lt(load p0[0], 0.0f32) { store p1[0] = fold add(v0) } else { store p1[0] = 0.0f32 }
             }",
        );
        let operations = 3.0 * 4.0 * 2.0 + 2.0 * 4.0 + 1.0 + 3.0;
        assert_eq!(found, Work { operations, read_bytes: 4.0 * (12.0 + 8.0 + 1.0), written_bytes: 4.0 * 4.0 });
    }
}
