//! The few largest elements of rows, picked one after the other.

use super::{Scan, Tensor, TypeSpec};
use ir::DType;

/// From how many elements for each that is wanted the largest are picked one after the other instead of put in order with all others.
const EXTENT_BY_PICKS: usize = 4;
/// The most that are picked from a whole row: each more is two more passes over it. Both ways take as long for 13 to 17 in vectors of 128 bits, for 28 with AVX2 and for 40 with AVX-512.
const PICKS: usize = 16;
/// From which length on a row is cut into blocks whose largest elements are known, so that after each pick one block is looked at again instead of the row.
const BLOCKS_FROM: usize = 128;
/// The most that are picked from a row of blocks, as a multiple of the square root of its length: so long are the blocks, and so many there are.
const PICKS_BY_BLOCKS: usize = 4;

/// Whether `count` of `extent` elements are picked rather than all put in order.
pub(super) fn are_few(count: usize, extent: usize) -> bool {
    let most = if extent < BLOCKS_FROM { PICKS } else { PICKS_BY_BLOCKS * extent.isqrt() };
    count <= most && count * EXTENT_BY_PICKS <= extent && extent <= i32::MAX as usize / 4
}

/// How long the blocks of a row are from which `count` elements are picked. Of rows that lie across memory, vectors hold many, and a few picks are as fast without blocks.
fn block_length(extent: usize, count: usize, is_last: bool) -> usize {
    if extent < BLOCKS_FROM || count == 1 || (!is_last && count <= PICKS) {
        return extent;
    }
    // A pick looks at one block and at the largest of all. A divisor of the row's length leaves none to be filled up.
    let root = extent.isqrt();
    let divisors = (root / 2..=root * 2).filter(|n| extent.is_multiple_of(*n));
    divisors.min_by_key(|n| n.abs_diff(root)).unwrap_or(root)
}

impl Tensor {
    /// The positions of the `count` largest elements along an axis, one after the other: each is the first of the largest that come after the one before.
    #[track_caller]
    pub(super) fn picks(&self, axis: isize, extent: usize, count: usize) -> Tensor {
        let Some(ty) = self.ty() else { return self.clone() };
        let block = block_length(extent, count, axis as usize + 1 == ty.shape.rank());
        let blocks = extent.div_ceil(block);
        let candidates = Candidates::new(&self.swap_axes(axis, -1), [blocks, block]);
        let picked = if blocks == 1 { candidates.pick(count) } else { candidates.pick_by_blocks(count) };
        let Some(picked) = picked else { return self.poisoned() };
        let rank = ty.shape.rank() as isize;
        let positions = candidates.positions(&picked).squeeze([-1, -2]);
        positions.permute((1..rank).chain([0]).collect::<Vec<_>>()).swap_axes(axis, -1)
    }
}

/// Rows `[..., blocks, block]` as what is compared: of numbers and not numbers, which come first, the largest is taken by value, then by place.
struct Candidates {
    /// Not numbers are infinite.
    values: Tensor,
    /// Not numbers have their positions, all others theirs plus `padded`: the first place comes first.
    places: Tensor,
    block: usize,
    /// A row's length in whole blocks. What fills up the last block comes after all else.
    padded: usize,
}

impl Candidates {
    #[track_caller]
    fn new(x: &Tensor, [blocks, block]: [usize; 2]) -> Candidates {
        let (g, padded) = (x.builder(), blocks * block);
        let Some(ty) = x.ty() else { return Candidates { values: x.clone(), places: x.clone(), block, padded } };
        let rank = ty.shape.rank();
        let mut pads = vec![(0, 0); rank];
        pads[rank - 1].1 = padded - ty.shape[rank - 1];
        let x = if pads[rank - 1].1 == 0 { x.clone() } else { x.pad(f64::NEG_INFINITY, pads) };
        let mut dims: Vec<isize> = ty.shape.dims().iter().map(|extent| *extent as isize).collect();
        dims.splice(rank - 1.., [blocks as isize, block as isize]);
        let x = x.reshape(dims);
        let nan = x.ne(&x);
        let row = TypeSpec::new(DType::I32, [blocks, block]);
        let position = g.iota(row.clone(), 0) * block as i32 + g.iota(row, 1);
        let values = nan.logical_not().select(&x, f64::INFINITY);
        let places = nan.select(&position, &(&position + padded as i32));
        Candidates { values, places, block, padded }
    }

    /// What comes before all: the pick before the first one, `[..., 1, 1]`.
    fn before_all(&self) -> [Tensor; 2] {
        let (g, Some(ty)) = (self.values.builder(), self.values.ty()) else {
            return [self.values.clone(), self.places.clone()];
        };
        let one = [&ty.shape[..ty.shape.rank() - 2], &[1, 1]].concat();
        [g.full(f64::INFINITY, TypeSpec::new(ty.dtype, &one[..])), g.full(-1.0, TypeSpec::new(DType::I32, &one[..]))]
    }

    /// The places of the first `count`, by two passes over a row for each.
    #[track_caller]
    fn pick(&self, count: usize) -> Option<Tensor> {
        let [value, place] = self.before_all();
        let (_, picked) = Scan::new().named("pick").length(count).run(&[&value, &place], &[], |last, _| {
            let [value, place] = first_after(&self.values, &self.places, [&last[0], &last[1]]);
            (vec![value, place.clone()], vec![place])
        });
        picked.into_iter().next()
    }

    /// The places of the first `count`: the first of each block are kept, and the block that a pick was from is looked at again.
    #[track_caller]
    fn pick_by_blocks(&self, count: usize) -> Option<Tensor> {
        let blocks = self.padded / self.block;
        let values = self.values.max_keepdims([-1]);
        let places = self.values.eq(&values).select(&self.places, i32::MAX).min_keepdims([-1]);
        let number = values.builder().iota(TypeSpec::new(DType::I32, [blocks, 1]), 0);
        let (_, picked) = Scan::new().named("pick").length(count).run(&[&values, &places], &[], |first, _| {
            let [values, places] = [&first[0], &first[1]];
            let value = values.max_keepdims([-2]);
            let place = values.eq(&value).select(places, i32::MAX).min_keepdims([-2]);
            let block = self.positions(&place) / self.block as i32;
            let own = [self.values.take_along_axis(&block, -2), self.places.take_along_axis(&block, -2)];
            let [next, at] = first_after(&own[0], &own[1], [&value, &place]);
            let is_own = number.eq(&block);
            (vec![is_own.select(&next, values), is_own.select(&at, places)], vec![place])
        });
        picked.into_iter().next()
    }

    /// Positions from places.
    #[track_caller]
    fn positions(&self, places: &Tensor) -> Tensor {
        places.ge(self.padded as i32).select(&(places - self.padded as i32), places)
    }
}

/// Value and place of what comes first along the last axis after the given one.
#[track_caller]
fn first_after(values: &Tensor, places: &Tensor, [value, place]: [&Tensor; 2]) -> [Tensor; 2] {
    let is_left = values.lt(value).or(values.eq(value).and(places.gt(place)));
    let best = is_left.select(values, f64::NEG_INFINITY).max_keepdims([-1]);
    let at = is_left.and(values.eq(&best)).select(places, i32::MAX).min_keepdims([-1]);
    [best, at]
}
