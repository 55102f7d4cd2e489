//! How a contraction is cut: register tiles, and blocks that stay in the caches.

use kernel::{DType, TileTarget};

/// Runs of equal tiles that cover an extent: (first element, tile extent, how many).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) size: usize,
    pub(super) count: usize,
}

/// The cut of a contraction's tile dimensions.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Tiling {
    /// Rows of each register tile.
    pub(super) rows: Vec<Run>,
    /// Columns of each register tile: full panels, then what is left.
    pub(super) columns: Vec<Run>,
}

/// What a tile of `h` rows and `v` vectors (or single columns) costs, in cycles. A step of the reduction: the multiply-adds, as many
/// loads of vectors and two broadcasts a cycle, and a chain of four cycles per sum; a little more where sums take most of the registers, as measured. The
/// sums: a load or a store each, and the loop around.
fn tile_cycles(h: usize, v: usize, depth: usize, target: &TileTarget) -> f64 {
    let fma = (h * v) as f64 / target.fmas as f64;
    let loads = h as f64 / 2.0 + v as f64 / target.fmas as f64;
    let crowded = if h * v > target.roomy { 1.08 } else { 1.0 };
    crowded * fma.max(loads).max(4.0) * depth as f64 + (h * v) as f64 + 16.0
}

/// `extent` in tiles of at most `max`, as even as can be: two runs at the most.
pub(super) fn even_runs(extent: usize, max: usize) -> Vec<Run> {
    let tiles = extent.div_ceil(max);
    let (size, larger) = (extent / tiles, extent % tiles);
    let mut runs = vec![];
    if larger > 0 {
        runs.push(Run { start: 0, size: size + 1, count: larger });
    }
    runs.push(Run { start: larger * (size + 1), size, count: tiles - larger });
    runs
}

/// `extent` in panels of `width`, and the rest.
pub(super) fn panel_runs(extent: usize, width: usize) -> Vec<Run> {
    let (count, rest) = (extent / width, extent % width);
    let mut runs = vec![];
    if count > 0 {
        runs.push(Run { start: 0, size: width, count });
    }
    if rest > 0 {
        runs.push(Run { start: count * width, size: rest, count: 1 });
    }
    runs
}

/// The register tile with the least estimated time, for a reduction of `depth` steps; of two that are alike the one with fewer runs.
pub(super) fn choose((m, n, depth): (usize, usize, usize), dtype: DType, target: &TileTarget) -> Tiling {
    let lanes = target.vector_bytes / dtype.size_bytes();
    let mut best: Option<(f64, Tiling)> = None;
    let tiles = (1..=4usize).flat_map(|v| (1..=target.rows).map(move |h| (h, v)));
    let fits = |&(h, v): &(usize, usize)| h * v + v + target.spare <= target.registers;
    for (h, v) in tiles.filter(fits) {
        let tiling = Tiling { rows: even_runs(m, h), columns: panel_runs(n, v * lanes) };
        let cycles: f64 = tiling
            .rows
            .iter()
            .flat_map(|r| tiling.columns.iter().map(move |c| (r, c)))
            .map(|(r, c)| {
                let rest = c.size % lanes;
                let vectors = c.size / lanes + if target.masked { usize::from(rest > 0) } else { rest };
                (r.count * c.count) as f64 * tile_cycles(r.size, vectors, depth, target)
            })
            .sum::<f64>()
            * (1.0 + 0.02 * tiling.rows.len() as f64);
        if best.as_ref().is_none_or(|(least, _)| cycles < *least) {
            best = Some((cycles, tiling));
        }
    }
    best.map(|(_, tiling)| tiling).unwrap_or(Tiling { rows: even_runs(m, 4), columns: panel_runs(n, lanes) })
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

    fn covered(runs: &[Run]) -> usize {
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
        let tiling = choose((400, 512, 256), DType::F32, &TileTarget::PORTABLE);
        assert_eq!(tiling.rows, [Run { start: 0, size: 4, count: 100 }]);
        assert_eq!(tiling.columns, [Run { start: 0, size: 8, count: 64 }]);
    }

    #[test]
    fn blocks_prefer_divisors() {
        assert_eq!(block(1024, 300), 256);
        assert_eq!(block(97, 30), 30);
        assert_eq!(block(5, 300), 5);
    }
}
