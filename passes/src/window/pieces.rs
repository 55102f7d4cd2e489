//! Where a walk over places is cut, so that no element asks which taps of its window are inside: along each spatial axis the places in the middle, of which
//! all taps are, apart from those at the ends. In gradients, where a stride spreads windows, the places of each remainder by the stride are walked apart: they
//! have the same taps.

use ir::op::window::Window;

/// Places along a spatial axis, and the taps that they have inside. Place number `t` is `start + step * t`; tap number `j` of them is tap `first_tap +
/// tap_step * j` of the window, and reads `at + per_place * t + per_tap * j`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Piece {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) count: i64,
    pub(crate) first_tap: i64,
    pub(crate) tap_step: i64,
    pub(crate) taps: i64,
    pub(crate) at: i64,
    pub(crate) per_place: i64,
    pub(crate) per_tap: i64,
    /// The extent of what is read.
    pub(crate) extent: i64,
}

/// The quotient, rounded up; the divisor is positive.
fn div_up(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}

impl Piece {
    /// The taps that place `t` has inside: the first, and the first after them.
    fn inside(&self, t: i64) -> (i64, i64) {
        let at = self.at + self.per_place * t;
        (div_up(-at, self.per_tap).max(0), ((self.extent - 1 - at).div_euclid(self.per_tap) + 1).min(self.taps))
    }

    /// The places from `from` to `to`, with the taps that any of them has inside.
    fn part(&self, from: i64, to: i64) -> Self {
        let (first, end) = (self.inside(to - 1).0, self.inside(from).1);
        Self {
            start: self.start + self.step * from,
            count: to - from,
            first_tap: self.first_tap + self.tap_step * first,
            taps: (end - first).max(0),
            at: self.at + self.per_place * from + self.per_tap * first,
            ..*self
        }
    }

    /// Cut after the places that have a tap before what is read, and before those that have one behind it.
    fn cut(self) -> Vec<Self> {
        let first = div_up(-self.at, self.per_place).clamp(0, self.count);
        let last_reads = self.at + self.per_tap * (self.taps - 1);
        let end = ((self.extent - 1 - last_reads).div_euclid(self.per_place) + 1).clamp(0, self.count);
        [0, first.min(end), first.max(end), self.count]
            .windows(2)
            .filter(|w| w[0] < w[1])
            .map(|w| self.part(w[0], w[1]))
            .collect()
    }
}

/// The windows along a spatial axis, which read the input.
pub(crate) fn of_windows(window: &Window, d: usize, (input, output): (usize, usize)) -> Vec<Piece> {
    let piece = Piece {
        start: 0,
        step: 1,
        count: output as i64,
        first_tap: 0,
        tap_step: 1,
        taps: window.size[d] as i64,
        at: -(window.pad[d].0 as i64),
        per_place: window.stride[d] as i64,
        per_tap: window.dilation[d] as i64,
        extent: input as i64,
    };
    piece.cut()
}

/// The places of the input along a spatial axis, which read the windows that have a tap there, in the order of the windows.
/// Those of one remainder are one piece unless they are to be `cut`.
pub(crate) fn of_places(window: &Window, d: usize, (input, output): (usize, usize), cut: bool) -> Vec<Piece> {
    let (stride, dilation) = (window.stride[d] as i64, window.dilation[d] as i64);
    let of_remainder = |start: i64| {
        let place = start + window.pad[d].0 as i64;
        // Places that differ by the stride have these taps: all of one remainder by `tap_step`. The last one is that of the first window.
        let tap_step = stride / gcd(stride, dilation);
        let first = (0..tap_step.min(window.size[d] as i64)).find(|tap| (place - tap * dilation) % stride == 0);
        let taps = first.map_or(0, |first| (window.size[d] as i64 - 1 - first) / tap_step + 1);
        let last = first.map_or(0, |first| first + (taps - 1) * tap_step);
        let piece = Piece {
            start,
            step: stride,
            count: (input as i64 - start - 1) / stride + 1,
            first_tap: last,
            tap_step: -tap_step,
            taps,
            at: (place - last * dilation).div_euclid(stride),
            per_place: 1,
            per_tap: dilation * tap_step / stride,
            extent: output as i64,
        };
        if taps == 0 || !cut { vec![piece] } else { piece.cut() }
    };
    (0..stride.min(input as i64)).flat_map(of_remainder).collect()
}

/// How many outputs are missing before the first and behind the last one along a spatial axis for each place of the input to have all its taps inside.
pub(crate) fn margins(window: &Window, d: usize, extents: (usize, usize)) -> (usize, usize) {
    let pieces = of_places(window, d, extents, false).into_iter().filter(|piece| piece.taps > 0);
    let reads = pieces.map(|p| (p.at, p.at + p.count - 1 + p.per_tap * (p.taps - 1)));
    let (first, last) = reads.fold((0, 0), |(first, last), read| (read.0.min(first), read.1.max(last)));
    (-first as usize, (last + 1 - extents.1 as i64).max(0) as usize)
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (place, tap, what it reads) of all taps that pieces have inside.
    fn reads(pieces: &[Piece]) -> Vec<(i64, i64, i64)> {
        let mut all = vec![];
        for piece in pieces {
            for t in 0..piece.count {
                let mut before = -1;
                for j in 0..piece.taps {
                    let at = piece.at + piece.per_place * t + piece.per_tap * j;
                    if (0..piece.extent).contains(&at) {
                        assert!(at > before, "{piece:?}");
                        before = at;
                        all.push((piece.start + piece.step * t, piece.first_tap + piece.tap_step * j, at));
                    }
                }
            }
        }
        all.sort_unstable();
        all
    }

    #[test]
    fn pieces_read_what_windows_have() {
        for (size, stride, dilation, input) in (1..6usize)
            .flat_map(|size| (1..5usize).map(move |stride| (size, stride)))
            .flat_map(|(size, stride)| (1..4usize).map(move |dilation| (size, stride, dilation)))
            .flat_map(|(size, stride, dilation)| (1..12usize).map(move |input| (size, stride, dilation, input)))
        {
            let covered = (size - 1) * dilation + 1;
            for pad in [(0, 0), (covered / 2, covered / 2), (covered - 1, 0), (1.min(covered - 1), covered - 1)] {
                let window =
                    Window { size: vec![size], stride: vec![stride], pad: vec![pad], dilation: vec![dilation] };
                let Ok(output) = window.output(&[input]) else { continue };
                let extents = (input, output[0]);
                let place = |o: usize, tap: usize| (o * stride + tap * dilation) as i64 - pad.0 as i64;
                let all = (0..output[0]).flat_map(|o| (0..size).map(move |tap| (o as i64, tap as i64, place(o, tap))));
                let mut all: Vec<_> = all.filter(|(_, _, at)| (0..input as i64).contains(at)).collect();
                assert_eq!(reads(&of_windows(&window, 0, extents)), all, "{window:?}");
                all.iter_mut().for_each(|(o, _, at)| std::mem::swap(o, at));
                all.sort_unstable();
                for cut in [true, false] {
                    let pieces = of_places(&window, 0, extents, cut);
                    assert_eq!(reads(&pieces), all, "{window:?}");
                    assert_eq!(pieces.iter().map(|p| p.count).sum::<i64>(), input as i64);
                }
            }
        }
    }

    #[test]
    fn places_in_the_middle_have_all_taps_inside() {
        let window = Window { size: vec![3], stride: vec![2], pad: vec![(1, 1)], dilation: vec![1] };
        let of = |pieces: Vec<Piece>| pieces.iter().map(|p| (p.start, p.count, p.taps)).collect::<Vec<_>>();
        assert_eq!(of(of_windows(&window, 0, (9, 5))), [(0, 1, 2), (1, 3, 3), (4, 1, 2)]);
        assert_eq!(of(of_places(&window, 0, (9, 5), true)), [(0, 5, 1), (1, 4, 2)]);
    }
}
