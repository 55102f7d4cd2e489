//! Places boxes in rows so that edges go down and rarely cross: the layered layout of Sugiyama, Tagawa and Toda ("Methods for visual understanding of hierarchical system
//! structures", IEEE Transactions on Systems, Man and Cybernetics 1981), in its plainest form.
//!
//! Rows are longest paths; the order in a row follows the mean place of a box's neighbours, in sweeps down and up. Long edges get no places of their own: what is drawn here are
//! boxes in boxes of a training step, whose long edges go from one section to another.

/// What is laid out.
pub(super) struct Boxes<'a> {
    /// Width and height of each.
    pub(super) sizes: &'a [(f64, f64)],
    /// From which box to which; those that don't go to a later one are left out.
    pub(super) edges: &'a [(usize, usize)],
    /// The space between boxes of a row, and between rows.
    pub(super) gap: (f64, f64),
    /// A row that would be wider is broken in several.
    pub(super) most_width: f64,
}

/// Where everything is.
pub(super) struct PlacedBoxes {
    /// The left upper corner of each box.
    pub(super) corners: Vec<(f64, f64)>,
    /// Width and height of all.
    pub(super) size: (f64, f64),
}

/// How often the order in rows is improved.
const SWEEPS: usize = 8;

/// Places boxes.
pub(super) fn place(boxes: &Boxes<'_>) -> PlacedBoxes {
    let count = boxes.sizes.len();
    let (mut above, mut below) = (vec![vec![]; count], vec![vec![]; count]);
    for &(from, to) in boxes.edges.iter().filter(|(from, to)| from < to && *to < count) {
        below[from].push(to);
        above[to].push(from);
    }
    let mut rows = rows(boxes, &above, &below);
    let mut centers = vec![0.0; count];
    for row in &rows {
        spread(row, boxes, &mut centers, &vec![0.0; count]);
    }
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let neighbours = if down { &above } else { &below };
        let turns: Vec<usize> = if down { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        for at in turns {
            let wanted: Vec<f64> = (0..count).map(|one| mean(&neighbours[one], &centers, centers[one])).collect();
            rows[at].sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]).then(a.cmp(b)));
            spread(&rows[at], boxes, &mut centers, &wanted);
        }
    }
    corners(boxes, &rows, &centers)
}

/// The boxes of each row, by the longest path to them; those that nothing leads to stand right above the first that they lead to.
fn rows(boxes: &Boxes<'_>, above: &[Vec<usize>], below: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let count = boxes.sizes.len();
    let mut rank = vec![0usize; count];
    for one in 0..count {
        rank[one] = above[one].iter().map(|&other| rank[other] + 1).max().unwrap_or(0);
    }
    for one in (0..count).filter(|&one| above[one].is_empty()) {
        rank[one] = below[one].iter().map(|&other| rank[other].saturating_sub(1)).min().unwrap_or(0);
    }
    let mut by_rank = vec![vec![]; rank.iter().max().map_or(0, |most| most + 1)];
    (0..count).for_each(|one| by_rank[rank[one]].push(one));
    by_rank.into_iter().flat_map(|row| broken(row, boxes)).collect()
}

/// A row in pieces that aren't too wide.
fn broken(row: Vec<usize>, boxes: &Boxes<'_>) -> Vec<Vec<usize>> {
    let (mut rows, mut width) = (vec![vec![]], 0.0);
    for one in row {
        width += boxes.sizes[one].0 + boxes.gap.0;
        if width > boxes.most_width && rows.last().is_some_and(|row: &Vec<usize>| !row.is_empty()) {
            rows.push(vec![]);
            width = boxes.sizes[one].0 + boxes.gap.0;
        }
        rows.last_mut().into_iter().for_each(|row| row.push(one));
    }
    rows
}

fn mean(of: &[usize], centers: &[f64], otherwise: f64) -> f64 {
    if of.is_empty() { otherwise } else { of.iter().map(|&one| centers[one]).sum::<f64>() / of.len() as f64 }
}

/// Gives the boxes of a row the centers that they want, as far as they don't overlap in their order; what must give way does so to both sides.
fn spread(row: &[usize], boxes: &Boxes<'_>, centers: &mut [f64], wanted: &[f64]) {
    let mut edge = f64::NEG_INFINITY;
    let mut moved = 0.0;
    for &one in row {
        let half = boxes.sizes[one].0 / 2.0;
        centers[one] = wanted[one].max(edge + half);
        edge = centers[one] + half + boxes.gap.0;
        moved += centers[one] - wanted[one];
    }
    let shift = moved / row.len().max(1) as f64;
    row.iter().for_each(|&one| centers[one] -= shift);
}

fn corners(boxes: &Boxes<'_>, rows: &[Vec<usize>], centers: &[f64]) -> PlacedBoxes {
    let left = (0..centers.len()).map(|one| centers[one] - boxes.sizes[one].0 / 2.0).fold(f64::INFINITY, f64::min);
    let (mut corners, mut y, mut width) = (vec![(0.0, 0.0); centers.len()], 0.0, 0.0f64);
    for row in rows {
        let height = row.iter().map(|&one| boxes.sizes[one].1).fold(0.0, f64::max);
        for &one in row {
            let x = centers[one] - boxes.sizes[one].0 / 2.0 - left;
            corners[one] = (x, y + (height - boxes.sizes[one].1) / 2.0);
            width = width.max(x + boxes.sizes[one].0);
        }
        y += height + boxes.gap.1;
    }
    PlacedBoxes { corners, size: (width, (y - boxes.gap.1).max(0.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(count: usize, edges: &[(usize, usize)], most_width: f64) -> PlacedBoxes {
        let sizes: Vec<(f64, f64)> = (0..count).map(|one| (20.0 + one as f64, 10.0)).collect();
        place(&Boxes { sizes: &sizes, edges, gap: (5.0, 5.0), most_width })
    }

    #[test]
    fn edges_go_down_and_boxes_stand_apart() {
        let mut random = ir::SplitMix64::new(3);
        for count in [1, 2, 5, 40] {
            let mut edges = vec![];
            for to in 1..count {
                (0..2).for_each(|_| edges.push(((random.bits() % to as u64) as usize, to)));
            }
            for width in [60.0, 1e9] {
                let placed = laid_out(count, &edges, width);
                let at = |one: usize| placed.corners[one];
                assert!(edges.iter().all(|&(from, to)| at(from).1 < at(to).1));
                for (one, other) in (0..count).flat_map(|one| (0..one).map(move |other| (one, other))) {
                    let aside = (at(one).0 + 20.0 + one as f64).min(at(other).0 + 20.0 + other as f64)
                        <= at(one).0.max(at(other).0);
                    assert!(at(one).1 != at(other).1 || aside, "{one} and {other} overlap");
                }
            }
        }
    }

    #[test]
    fn nothing_takes_no_place() {
        assert_eq!(laid_out(0, &[], 1.0).size, (0.0, 0.0));
    }

    #[test]
    fn a_state_stands_beside_what_uses_it() {
        let placed = laid_out(5, &[(0, 1), (1, 2), (2, 4), (3, 4)], 1e9);
        assert_eq!(placed.corners[3].1, placed.corners[2].1);
    }
}
