//! A kernel with just the parameters that its body uses.

use ir::map_of;
use kernel::{Access, BufRef, Code, Expr, Kernel, Local, Param, Stmt};
use std::collections::BTreeMap;

/// A kernel, and which of the parameters it was made from it kept.
pub(super) struct Restricted {
    pub(super) kernel: Kernel,
    pub(super) kept: Vec<usize>,
}

/// Makes a kernel of a body that uses some of the parameters: those are renumbered, and each says how it is used now.
pub(super) fn restrict(name: String, params: &[Param], locals: Vec<Local>, mut body: Vec<Stmt>) -> Restricted {
    let mut uses: BTreeMap<u32, Access> = BTreeMap::new();
    each_buffer(&mut body, &mut |buf, access| {
        if let BufRef::Param(p) = buf {
            let known = uses.entry(*p).or_insert(access);
            if *known != access {
                *known = Access::ReadWrite;
            }
        }
    });
    let numbers = map_of(uses.keys().copied().zip(0u32..));
    each_buffer(&mut body, &mut |buf, _| {
        if let BufRef::Param(p) = buf {
            *p = numbers[p];
        }
    });
    let kept: Vec<usize> = uses.keys().map(|&p| p as usize).collect();
    let params = uses.iter().map(|(&p, &access)| Param { access, ..params[p as usize].clone() }).collect();
    Restricted { kernel: Kernel::new(name, Code { params, locals, body }), kept }
}

/// Calls `f` on every use of a buffer.
fn each_buffer(body: &mut [Stmt], f: &mut impl FnMut(&mut BufRef, Access)) {
    for stmt in body {
        match stmt {
            Stmt::Store { buf, .. } => f(buf, Access::Write),
            Stmt::Micro(micro) => {
                f(&mut micro.a.buf, Access::Read);
                f(&mut micro.b.buf, Access::Read);
                let sums = if micro.c.accumulate { Access::ReadWrite } else { Access::Write };
                f(&mut micro.c.buf, sums);
            }
            _ => {}
        }
        if let Some(expr) = stmt.expr_mut() {
            each_load(expr, f);
        }
        for inner in stmt.bodies_mut() {
            each_buffer(inner, f);
        }
    }
}

fn each_load(expr: &mut Expr, f: &mut impl FnMut(&mut BufRef, Access)) {
    if let Expr::Load { buf, .. } = expr {
        f(buf, Access::Read);
    }
    for child in expr.children_mut() {
        each_load(child, f);
    }
}
