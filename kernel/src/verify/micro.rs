//! Invariant 8: the tile of a contraction.

use super::access::operand_extra;
use super::body::Checker;
use crate::walk::{visit_exprs, visit_stmts};
use crate::{Affine, BufRef, DType, Expr, Micro, Operand, Stmt, ValueType};
use std::collections::BTreeMap;

impl Checker<'_> {
    pub(super) fn micro(&mut self, micro: &Micro) {
        let number = self.stmt;
        if micro.m == 0 || micro.n == 0 || micro.reduce.is_empty() || micro.reduce.iter().any(|r| r.extent == 0) {
            self.fail(8, "a micro has at least one row, one column, and one reduction whose extent is at least 1");
        }
        if micro.b.stride != 1 {
            self.fail(8, format!("columns of b are contiguous, not {} apart", micro.b.stride));
        }
        let a = self.factor(&micro.a, micro.m, micro.reduce.iter().map(|r| (r.extent, r.a_stride)));
        let b = self.factor(&micro.b, micro.n, micro.reduce.iter().map(|r| (r.extent, r.b_stride)));
        let sum = a.and_then(Micro::sum_type);
        if a != b || sum.is_none() {
            let show = |d: Option<DType>| d.map_or("nothing", DType::name);
            self.fail(8, format!("factors are both f32, both f64 or both i32, not {} and {}", show(a), show(b)));
        }
        let outside = self.types.mark();
        self.bind_extent(micro.i, micro.m);
        self.bind_extent(micro.j, micro.n);
        self.bind_reg(micro.acc, sum.map(ValueType::scalar));
        self.tile_body(micro, number);
        self.stmt += 1;
        self.body(&micro.body, false);
        self.types.go_back(outside);
    }

    fn factor(&mut self, operand: &Operand, tile: usize, reduce: impl Iterator<Item = (usize, i64)>) -> Option<DType> {
        self.access(operand.buf, false);
        let extra = operand_extra(operand, tile, reduce);
        if extra.is_none() {
            self.fail(8, "a factor's index may leave 64 bits, or an extent is 0");
        }
        self.bounds(operand.buf, &operand.base, extra, "a factor");
        self.types.element(operand.buf).ok()
    }

    /// The tile may be computed in any order, and along columns in vectors: elements must not meet.
    fn tile_body(&mut self, micro: &Micro, number: usize) {
        if !micro.body.iter().all(|s| matches!(s, Stmt::Let { .. } | Stmt::Store { .. })) {
            return self.fail_at(number, 8, "the body of a micro holds `let` and `store` only");
        }
        let mut broken: Vec<String> = vec![];
        let mut check_column = |index: &Affine| {
            if !matches!(index.coefficient(micro.j), 0 | 1) {
                broken.push(format!("`{index}`: the coefficient of the column {} is neither 0 nor 1", micro.j));
            }
        };
        let mut stored: BTreeMap<BufRef, &Affine> = BTreeMap::new();
        let mut meet = vec![];
        visit_stmts(&micro.body, &mut |stmt| {
            if let Stmt::Store { buf, index, .. } = stmt {
                check_column(index);
                if *stored.entry(*buf).or_insert(index) != index {
                    meet.push(format!("{buf} is stored to at more than one index"));
                }
                if [micro.a.buf, micro.b.buf].contains(buf) {
                    meet.push(format!("{buf} is a factor, and stored to"));
                }
                if !elements_are_distinct(micro, index) {
                    meet.push(format!("elements of the tile may be stored to one place of {buf}"));
                }
            }
        });
        let mut check_expr = |expr: &Expr| match expr {
            Expr::Load { lanes: 2.., .. } | Expr::Index { lanes: 2.., .. } | Expr::Splat(..) | Expr::Fold(..) => {
                meet.push("expressions in a micro's body are scalar".into());
            }
            Expr::Load { buf, index, .. } => {
                check_column(index);
                if stored.get(buf).is_some_and(|at| *at != index) {
                    meet.push(format!("{buf} is loaded at another index than it is stored to"));
                }
            }
            _ => {}
        };
        visit_exprs(&micro.body, &mut check_expr);
        for message in broken.into_iter().chain(meet) {
            self.fail_at(number, 8, message);
        }
    }
}

fn elements_are_distinct(micro: &Micro, index: &Affine) -> bool {
    let columns = micro.n == 1 || index.coefficient(micro.j) == 1;
    let span = if index.coefficient(micro.j) == 0 { 1 } else { micro.n as u64 };
    columns && (micro.m == 1 || index.coefficient(micro.i).unsigned_abs() >= span)
}
