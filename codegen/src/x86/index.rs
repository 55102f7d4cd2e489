//! Indices and addresses.
//!
//! An address is a base plus a multiple of each variable plus a constant. The multiples are taken outermost variable first. For each prefix that
//! ends in a loop's variable the loop keeps a pointer: set before it from the pointer of the shorter prefix, advanced at the end of each
//! iteration. So the body of a loop adds nothing, and accesses that differ in the constant share a pointer.

use super::lir::{Arg, Argument, Class, Index, Inst, Mem, VReg};
use super::unit::{Base, IndexBinding, Unit};
use crate::error::{EmitError, malformed, unsupported};
use crate::x86::encoding::Width;
use kernel::{Affine, BufRef, IndexExpr, IndexVar};

/// An address.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) base: VReg,
    /// In bytes.
    pub(super) disp: i64,
    /// Whether whole vectors are stored there past the caches: what follows is aligned to them, and nothing reads it soon.
    pub(super) streams: bool,
}

impl At {
    pub(super) fn plus(self, bytes: i64) -> Self {
        Self { disp: self.disp + bytes, ..self }
    }

    /// The operand.
    pub(super) fn mem(self) -> Result<Mem, EmitError> {
        match i32::try_from(self.disp) {
            // Some room for what the frame adds.
            Ok(disp) if disp.unsigned_abs() < 1 << 30 => Ok(Mem { base: self.base, disp, broadcast: false }),
            _ => unsupported("a constant offset of 1 GiB or more"),
        }
    }
}

impl Unit<'_> {
    pub(super) fn bind(&mut self, var: IndexVar, binding: IndexBinding) {
        let order = self.index.len();
        if self.index.insert(var, (order, binding)).is_some() {
            // Pointers that moved with the old one.
            self.pointers.retain(|(_, terms), _| terms.iter().all(|(v, _)| *v != var));
        }
    }

    /// The terms on variables that are loops' or computed, in bytes, outermost first; and the rest.
    pub(super) fn terms(&self, affine: &Affine, scale: i64) -> Result<(Vec<(IndexVar, i64)>, i64), EmitError> {
        let mut flat = affine.clone();
        let resolved = |flat: &Affine| {
            flat.terms().iter().find_map(|&(var, _)| match self.index.get(&var) {
                Some((_, IndexBinding::Constant(c))) => Some(Ok((var, Affine::constant(*c)))),
                Some((_, IndexBinding::Affine(by))) => Some(Ok((var, by.clone()))),
                Some(_) => None,
                None => Some(malformed(format!("index {var:?} is used before it is bound"))),
            })
        };
        while let Some(found) = resolved(&flat) {
            let (var, by) = found?;
            let Some(next) = flat.checked_substitute(var, &by) else { return unsupported("an index of over 64 bits") };
            flat = next;
        }
        let mut terms: Vec<(usize, IndexVar, i64)> = vec![];
        for &(var, coefficient) in flat.terms() {
            let Some(bytes) = coefficient.checked_mul(scale) else { return unsupported("an index of over 64 bits") };
            terms.push((self.index[&var].0, var, bytes));
        }
        terms.sort_unstable();
        let Some(offset) = flat.offset().checked_mul(scale) else { return unsupported("an index of over 64 bits") };
        Ok((terms.into_iter().map(|(_, var, by)| (var, by)).collect(), offset))
    }

    /// The address of an element.
    pub(super) fn address(&mut self, buf: BufRef, index: &Affine) -> Result<At, EmitError> {
        let size = self.buffer_dtype(buf)?.size_bytes() as i64;
        let (base, start) = match buf {
            BufRef::Param(p) => (Base::Param(p), 0),
            BufRef::Local(l) => (Base::Scratch, self.locals[l as usize]),
        };
        let (terms, disp) = self.terms(index, size)?;
        let base = self.pointer(base, &terms)?;
        Ok(At { base, disp, streams: false }.plus(start))
    }

    /// An index as a number in a register.
    pub(super) fn index_value(&mut self, index: &Affine) -> Result<VReg, EmitError> {
        let (terms, offset) = self.terms(index, 1)?;
        if !terms.is_empty() && offset == 0 {
            return self.pointer(Base::Zero, &terms);
        }
        let dst = self.lists.reg(Class::General);
        if terms.is_empty() {
            self.push(Inst::Index(Index::Set { dst, value: offset }));
        } else {
            let base = self.pointer(Base::Zero, &terms)?;
            self.push(Inst::Index(Index::Offset { dst, base, disp: offset }));
        }
        Ok(dst)
    }

    /// Its value, if that is known here.
    pub(super) fn constant_index(&self, index: &Affine) -> Result<Option<i64>, EmitError> {
        let (terms, offset) = self.terms(index, 1)?;
        Ok(terms.is_empty().then_some(offset))
    }

    /// The pointer that moves by these terms.
    fn pointer(&mut self, base: Base, terms: &[(IndexVar, i64)]) -> Result<VReg, EmitError> {
        let key = (base, terms.to_vec());
        if let Some(&known) = self.pointers.get(&key) {
            return Ok(known);
        }
        let dst = self.lists.reg(Class::General);
        match terms {
            [] => {
                let inst = match base {
                    Base::Param(number) => Index::Param { dst, number },
                    Base::Scratch => Index::Argument { dst, argument: Argument::Scratch },
                    Base::First => Index::Argument { dst, argument: Argument::Low },
                    Base::Zero => Index::Set { dst, value: 0 },
                };
                self.lists.push(self.entry, Inst::Index(inst));
            }
            [outer @ .., (var, bytes)] => {
                let from = match (outer, base) {
                    ([], Base::Zero) => None,
                    _ => Some(self.pointer(base, outer)?),
                };
                self.moved(dst, from, *var, *bytes)?;
            }
        }
        self.pointers.insert(key, dst);
        Ok(dst)
    }

    /// `dst = from + var * bytes`, wherever the variable changes.
    fn moved(&mut self, dst: VReg, from: Option<VReg>, var: IndexVar, bytes: i64) -> Result<(), EmitError> {
        match self.index.get(&var) {
            Some((_, IndexBinding::OpenLoop(depth))) => {
                let Some(around) = self.loops.get(*depth) else { return malformed("an index used after its loop") };
                let (before, latch, ranged) = (around.before, around.latch, around.ranged);
                let Some(by) = bytes.checked_mul(around.step) else { return unsupported("an index of over 64 bits") };
                let start = match (ranged, from) {
                    (true, base) => {
                        let src = self.pointer(Base::First, &[])?;
                        Index::MulAdd { dst, src, factor: bytes, base }
                    }
                    (false, Some(src)) => Index::Copy { dst, src },
                    (false, None) => Index::Set { dst, value: 0 },
                };
                self.lists.push(before, Inst::Index(start));
                self.lists.push(latch, Inst::Index(Index::Advance { dst, by }));
                Ok(())
            }
            Some((_, IndexBinding::Computed { value, behind })) => {
                let inst = Index::MulAdd { dst, src: *value, factor: bytes, base: from };
                self.lists.push(*behind, Inst::Index(inst));
                Ok(())
            }
            _ => malformed(format!("index {var:?} is used before it is bound")),
        }
    }

    /// Binds a variable.
    pub(super) fn let_index(&mut self, var: IndexVar, value: &IndexExpr) -> Result<(), EmitError> {
        let value = match value {
            IndexExpr::Affine(affine) => {
                self.bind(var, IndexBinding::Affine(affine.clone()));
                return Ok(());
            }
            IndexExpr::Div(affine, by) | IndexExpr::Rem(affine, by) => {
                let remainder = matches!(value, IndexExpr::Rem(..));
                if let Some(known) = self.constant_index(affine)? {
                    let result = if remainder { known % by } else { known / by };
                    self.bind(var, IndexBinding::Constant(result));
                    return Ok(());
                }
                let (src, dst) = (self.index_value(affine)?, self.lists.reg(Class::General));
                self.push(Inst::Index(Index::Divide { dst, src, by: *by, remainder }));
                dst
            }
            IndexExpr::Clamp(affine, low, high) => {
                if let Some(known) = self.constant_index(affine)? {
                    self.bind(var, IndexBinding::Constant(known.clamp(*low, *high)));
                    return Ok(());
                }
                let (src, dst) = (self.index_value(affine)?, self.lists.reg(Class::General));
                self.push(Inst::Index(Index::Clamp { dst, src, low: *low, high: *high }));
                dst
            }
            IndexExpr::Checked { value, bound, check } => {
                let value = self.expr(value)?;
                if value.lanes != 1 || !value.dtype.is_int() {
                    return malformed("a checked index that is not one integer");
                }
                let index = self.lists.reg(Class::General);
                self.push(Inst::FromLane {
                    dst: index,
                    src: Arg::Vec(value.parts[0], Width::X),
                    size: value.size as u8,
                });
                self.push(Inst::Check { index, bound: *bound, status: check + 1 });
                index
            }
        };
        let behind = self.lists.list();
        let here = self.here();
        self.lists.nest(here, behind);
        self.bind(var, IndexBinding::Computed { value, behind });
        Ok(())
    }
}
