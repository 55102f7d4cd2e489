//! Movement ops as index arithmetic: where an element of the result stands in the operand.

use super::cx::{KernelCx, flatten};
use ir::Shape;
use ir::op::movement::{Permute, Reverse, Slice};
use kernel::Affine;

/// Coordinates in the operand of a reshape, from coordinates in its result. Runs of axes with equal products are taken together, so
/// that merging axes stays affine and splitting one divides only that one.
pub(super) fn reshape(cx: &mut KernelCx, index: &[Affine], to: &Shape, from: &Shape) -> Vec<Affine> {
    let mut out = vec![Affine::constant(0); from.rank()];
    let (mut i, mut j) = (0, 0);
    while i < to.rank() || j < from.rank() {
        let (i0, j0) = (i, j);
        let (mut a, mut b) = (1usize, 1usize);
        loop {
            if i < to.rank() && (a <= b || j == from.rank()) {
                a *= to[i];
                i += 1;
            } else {
                b *= from[j];
                j += 1;
            }
            if a == b {
                break;
            }
        }
        let mut rest = flatten(&index[i0..i], &to[i0..i]);
        for axis in (j0..j).rev() {
            if axis == j0 {
                out[axis] = rest.clone();
            } else {
                let (quotient, remainder) = cx.div_rem(&rest, from[axis] as i64);
                out[axis] = remainder;
                rest = quotient;
            }
        }
    }
    out
}

/// Coordinates in the operand of a permutation.
pub(super) fn permute(op: &Permute, index: &[Affine]) -> Vec<Affine> {
    let mut out = vec![Affine::constant(0); index.len()];
    for (axis, &from) in op.perm.iter().enumerate() {
        out[from] = index[axis].clone();
    }
    out
}

/// Coordinates in the operand of a slice.
pub(super) fn slice(op: &Slice, index: &[Affine]) -> Vec<Affine> {
    index.iter().enumerate().map(|(d, i)| i.scale(op.stride[d] as i64).plus(op.start[d] as i64)).collect()
}

/// Coordinates in the operand of a reversal.
pub(super) fn reverse(op: &Reverse, index: &[Affine], shape: &Shape) -> Vec<Affine> {
    let flip = |d: usize, i: &Affine| i.scale(-1).plus(shape[d] as i64 - 1);
    index.iter().enumerate().map(|(d, i)| if op.axes.contains(&d) { flip(d, i) } else { i.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(to: &[usize], from: &[usize]) {
        let (to, from) = (Shape::new(to).unwrap(), Shape::new(from).unwrap());
        let mut cx = KernelCx::new();
        let index = cx.open_all(&to);
        let got = reshape(&mut cx, &index, &to, &from);
        assert_eq!(got.len(), from.rank());
        // Where no division was needed, both sides flatten to the same position.
        if got.iter().all(|g| g.terms().iter().all(|(v, _)| (v.0 as usize) < to.rank())) {
            // A loop that runs once adds nothing.
            let place = |at: &Affine| {
                let terms = at.terms().iter().filter(|(v, _)| to[v.0 as usize] > 1);
                terms.fold(Affine::constant(at.offset()), |sum, &(v, c)| sum.plus_term(v, c))
            };
            assert_eq!(place(&flatten(&got, &from)), place(&flatten(&index, &to)), "{to} from {from}");
        }
    }

    #[test]
    fn merges_and_splits() {
        for (to, from) in [
            (&[32, 1600][..], &[32, 5, 5, 64][..]),
            (&[32, 5, 5, 64], &[32, 1600]),
            (&[6], &[2, 3]),
            (&[1, 6, 1], &[2, 1, 3]),
            (&[], &[1, 1]),
            (&[1, 1], &[]),
            (&[4, 3, 1, 2], &[12, 2]),
            (&[4, 3], &[3, 4]),
            (&[2, 1], &[1, 2]),
        ] {
            check(to, from);
            check(from, to);
        }
    }

    #[test]
    fn merging_is_affine() {
        let (to, from) = (Shape::new([2, 3, 4]).unwrap(), Shape::new([6, 4]).unwrap());
        let mut cx = KernelCx::new();
        let index = cx.open_all(&to);
        let got = reshape(&mut cx, &index, &to, &from);
        assert_eq!(got[0], index[0].scale(3).add(&index[1]));
        assert_eq!(got[1], index[2]);
    }
}
