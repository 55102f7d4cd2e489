//! How a contraction is cut: register tiles, and blocks that stay in the caches.

use kernel::{DType, TileTarget};

/// Runs of equal tiles that cover an extent: (first element, tile extent, how many).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TileRun {
    pub(super) start: usize,
    pub(super) size: usize,
    pub(super) count: usize,
}

/// The cut of a contraction's tile dimensions.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Tiling {
    /// Rows of each register tile.
    pub(super) rows: Vec<TileRun>,
    /// Columns of each register tile: full panels, then what is left.
    pub(super) columns: Vec<TileRun>,
}

/// What a load per multiply-add costs beside it, where factors come from beyond the first-level cache.
const LOAD_SHARE: f64 = 0.2;
/// What one more run of tiles costs, as a share of all: code, and where runs become kernels, launches.
const RUN_SHARE: f64 = 0.01;

/// What a tile of `h` rows and `v` vectors (or single columns) costs, in cycles. A step of the reduction: the multiply-adds, as many
/// loads of vectors and two broadcasts a cycle, and a chain of four cycles per sum; a little more where sums take most of the registers, or no register is left, and for
/// each load, as measured. The sums: a load or a store each, and the loop around.
fn tile_cycles(h: usize, v: usize, depth: usize, target: &TileTarget) -> f64 {
    let fma = (h * v) as f64 / target.fmas as f64;
    let loads = h as f64 / 2.0 + v as f64 / target.fmas as f64;
    // With a mask it wouldn't fit: the last register is that of the left factor's element.
    let full = target.mask > 0 && h > 1 && taken(h, v, target) + target.mask > target.registers;
    let crowded = if full {
        1.16
    } else if h * v > target.roomy {
        1.08
    } else {
        1.0
    };
    let waiting = 1.0 + LOAD_SHARE * (h + v) as f64 / (h * v) as f64;
    waiting * crowded * fma.max(loads).max(4.0) * depth as f64 + (h * v) as f64 + 16.0
}

/// The registers that a tile takes, but for a mask.
fn taken(h: usize, v: usize, target: &TileTarget) -> usize {
    h * v + v * target.parts + target.spare
}

/// `extent` in tiles of at most `max`, as even as can be: two runs at the most.
pub(super) fn even_runs(extent: usize, max: usize) -> Vec<TileRun> {
    let tiles = extent.div_ceil(max);
    let (size, larger) = (extent / tiles, extent % tiles);
    let mut runs = vec![];
    if larger > 0 {
        runs.push(TileRun { start: 0, size: size + 1, count: larger });
    }
    runs.push(TileRun { start: larger * (size + 1), size, count: tiles - larger });
    runs
}

/// `extent` in panels of `width`, and the rest.
pub(super) fn panel_runs(extent: usize, width: usize) -> Vec<TileRun> {
    let (count, rest) = (extent / width, extent % width);
    let mut runs = vec![];
    if count > 0 {
        runs.push(TileRun { start: 0, size: width, count });
    }
    if rest > 0 {
        runs.push(TileRun { start: count * width, size: rest, count: 1 });
    }
    runs
}

/// What limits the choice of a tile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct TileLimits {
    /// Columns of the tile, where they are decided.
    pub(super) width: Option<usize>,
    /// Whether the rows of the left factor are a multiple of the distance apart at which the first-level cache has the same places: more
    /// rows than such a place has ways evict each other.
    pub(super) colliding_rows: bool,
    /// Whether threads have nothing to share but rows of tiles, which must then be alike.
    pub(super) shared_rows: bool,
}

/// What tiles of two heights cost where threads would share rows of equal ones, as a share of all.
const UNSHARED: f64 = 0.05;

/// Vectors of the widest tiles,
pub(super) const WIDEST_TILE: usize = 4;
/// and of the widest tiles with a single row, which read so much of each row of the right factor in one go.
const WIDEST_ROW: usize = 8;

/// Ways of the first-level cache.
const WAYS: usize = 8;

/// The extents of a matrix product: rows and columns of the result, steps of the reduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MatmulShape {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
}

/// The register tile with the least estimated time; of two that are alike the one with fewer runs. `copying` is
/// what it takes to pack the right factor for panels of a width, in cycles.
pub(super) fn choose(
    MatmulShape { m, n, k: depth }: MatmulShape,
    dtype: DType,
    target: &TileTarget,
    limits: TileLimits,
    copying: impl Fn(usize) -> f64,
) -> Tiling {
    let lanes = target.vector_bytes / dtype.size_bytes();
    let mut best: Option<(f64, Tiling)> = None;
    let most_rows = if limits.colliding_rows { target.rows.min(WAYS) } else { target.rows };
    let widths = (1..=WIDEST_ROW).filter(|v| limits.width.is_none_or(|width| width.div_ceil(lanes) == *v));
    let tiles = widths.flat_map(|v| (1..=most_rows).map(move |h| (h, v)));
    // A single row multiplies by its part of the right factor where that stands in memory.
    let fits = |&(h, v): &(usize, usize)| {
        // The rest of the columns needs a mask in a tile of as many vectors, where it fills all but the last.
        let width = limits.width.unwrap_or(v * lanes);
        let partial = [width, n % width].iter().any(|columns| columns.div_ceil(lanes) == v && columns % lanes > 0);
        let mask = if partial { target.mask } else { 0 };
        (h == 1 && target.masked) || (v <= WIDEST_TILE && taken(h, v, target) + mask <= target.registers)
    };
    for (h, v) in tiles.filter(fits) {
        let width = limits.width.unwrap_or(v * lanes);
        let tiling = Tiling { rows: even_runs(m, h), columns: panel_runs(n, width) };
        let cycles: f64 = tiling
            .rows
            .iter()
            .flat_map(|r| tiling.columns.iter().map(move |c| (r, c)))
            .map(|(r, c)| {
                let rest = c.size % lanes;
                let vectors = c.size / lanes + if target.masked { usize::from(rest > 0) } else { rest };
                (r.count * c.count) as f64 * tile_cycles(r.size, vectors, depth, target)
            })
            .sum::<f64>();
        let runs = (tiling.rows.len() + tiling.columns.len()) as f64;
        let unshared = if limits.shared_rows && tiling.rows.len() > 1 { UNSHARED } else { 0.0 };
        let cycles = cycles * (1.0 + RUN_SHARE * runs + unshared) + copying(width);
        if best.as_ref().is_none_or(|(least, _)| cycles < *least) {
            best = Some((cycles, tiling));
        }
    }
    best.map(|(_, tiling)| tiling)
        .unwrap_or(Tiling { rows: even_runs(m, 1), columns: panel_runs(n, limits.width.unwrap_or(lanes)) })
}

/// The size of the blocks, as even as can be, in which `extent` is taken when one block has at most `limit`.
pub(super) fn even_block(extent: usize, limit: usize) -> usize {
    extent.div_ceil(extent.div_ceil(limit.max(1)))
}

/// The largest divisor of `extent` that is at most `limit`, or `limit` where the divisors are much smaller.
pub(super) fn block(extent: usize, limit: usize) -> usize {
    let limit = limit.clamp(1, extent);
    let divisor = (1..=limit).rev().find(|d| extent.is_multiple_of(*d)).unwrap_or(1);
    if divisor * 2 > limit { divisor } else { limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(runs: &[TileRun]) -> usize {
        let mut next = 0;
        for run in runs {
            assert_eq!(run.start, next);
            next += run.size * run.count;
        }
        next
    }

    #[test]
    fn runs_cover_the_extent() {
        for extent in 1..200 {
            for max in 1..9 {
                assert_eq!(covered(&even_runs(extent, max)), extent);
                assert!(even_runs(extent, max).iter().all(|r| r.size <= max && r.size > 0));
                assert_eq!(covered(&panel_runs(extent, max)), extent);
            }
        }
    }

    #[test]
    fn large_products_fill_the_sums() {
        let tiling = choose(
            MatmulShape { m: 400, n: 512, k: 256 },
            DType::F32,
            &TileTarget::PORTABLE,
            TileLimits::default(),
            |_| 0.0,
        );
        assert_eq!(tiling.rows, [TileRun { start: 0, size: 4, count: 100 }]);
        assert_eq!(tiling.columns, [TileRun { start: 0, size: 8, count: 64 }]);
    }

    #[test]
    fn rows_that_collide_are_few() {
        let limits = TileLimits { colliding_rows: true, ..TileLimits::default() };
        let tiling = choose(MatmulShape { m: 1024, n: 64, k: 256 }, DType::F32, &TileTarget::AVX512, limits, |_| 0.0);
        assert!(tiling.rows.iter().all(|r| r.size <= WAYS), "{tiling:?}");
    }

    #[test]
    fn rows_that_threads_share_are_alike() {
        let limits = TileLimits { shared_rows: true, ..TileLimits::default() };
        let tiling = choose(MatmulShape { m: 256, n: 10, k: 784 }, DType::F32, &TileTarget::AVX512, limits, |_| 0.0);
        assert_eq!(tiling.rows.len(), 1, "{tiling:?}");
    }

    #[test]
    fn a_width_that_is_given_is_kept() {
        let limits = TileLimits { width: Some(48), ..TileLimits::default() };
        let tiling = choose(MatmulShape { m: 5, n: 64, k: 256 }, DType::F32, &TileTarget::AVX512, limits, |_| 0.0);
        assert_eq!(tiling.columns[0], TileRun { start: 0, size: 48, count: 1 });
    }

    #[test]
    fn seven_rows_take_all_registers() {
        let tiling = |n: usize| {
            let shape = MatmulShape { m: 7, n, k: 1536 };
            choose(shape, DType::F32, &TileTarget::AVX2, TileLimits::default(), |_| 0.0).columns
        };
        let panel = TileRun { start: 0, size: 24, count: 21 };
        assert_eq!(tiling(512), [panel, TileRun { start: 504, size: 8, count: 1 }], "of 4 and 3 rows");
        assert_eq!(tiling(526)[0].size, 16, "the last tile would need a mask besides");
    }

    #[test]
    fn even_blocks_are_alike() {
        assert_eq!(even_block(1024, 512), 512);
        assert_eq!(even_block(521, 512), 261);
        assert_eq!(even_block(300, 512), 300);
    }

    #[test]
    fn blocks_prefer_divisors() {
        assert_eq!(block(1024, 300), 256);
        assert_eq!(block(97, 30), 30);
        assert_eq!(block(5, 300), 5);
    }
}
