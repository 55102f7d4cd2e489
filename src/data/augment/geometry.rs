//! Images turned, moved, mirrored and cut.

use super::pixel::Pixel;

/// The extents of an image, row-major.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extents {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
}

impl Extents {
    /// Where a pixel's colours begin, if there is such a pixel.
    fn at(self, y: isize, x: isize) -> Option<usize> {
        let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
        (y < self.height && x < self.width).then_some((y * self.width + x) * self.channels)
    }
}

pub(super) fn flip_horizontal<P: Pixel>(image: &mut [P], extents: Extents) {
    let Extents { width, channels, .. } = extents;
    for row in image.chunks_exact_mut(width * channels) {
        if channels == 1 {
            row.reverse();
            continue;
        }
        for x in 0..width / 2 {
            let (left, right) = row.split_at_mut((width - 1 - x) * channels);
            left[x * channels..(x + 1) * channels].swap_with_slice(&mut right[..channels]);
        }
    }
}

pub(super) fn flip_vertical<P: Pixel>(image: &mut [P], extents: Extents) {
    let row = extents.width * extents.channels;
    for y in 0..extents.height / 2 {
        let (above, below) = image.split_at_mut((extents.height - 1 - y) * row);
        above[y * row..(y + 1) * row].swap_with_slice(&mut below[..row]);
    }
}

/// The image seen through a window moved by so many rows and columns, a row at a time.
pub(super) fn crop<P: Pixel>(image: &mut [P], extents: Extents, (dy, dx): (isize, isize)) {
    let Extents { height, width, channels } = extents;
    let row = width * channels;
    // The columns that come from the image.
    let within = |x: isize| x.clamp(0, width as isize) as usize * channels;
    let (start, end) = (within(-dx), within(width as isize - dx));
    for i in 0..height {
        // Each row is read before it is written.
        let y = if dy < 0 { height - 1 - i } else { i };
        let Some(from) = y.checked_add_signed(dy).filter(|&from| from < height && start < end) else {
            image[y * row..(y + 1) * row].fill(P::default());
            continue;
        };
        let first = from * row + within(dx);
        image.copy_within(first..first + end - start, y * row + start);
        image[y * row..y * row + start].fill(P::default());
        image[y * row + end..(y + 1) * row].fill(P::default());
    }
}

/// Turned counterclockwise about the middle.
pub(super) fn rotate<P: Pixel>(image: &mut [P], extents: Extents, radians: f64) {
    let (sin, cos) = (libm::sin(radians) as f32, libm::cos(radians) as f32);
    let middle = ((extents.height - 1) as f32 / 2.0, (extents.width - 1) as f32 / 2.0);
    resample(image, extents, |y, x, pixel, old| {
        let (down, right) = (y as f32 - middle.0, x as f32 - middle.1);
        let from = (middle.0 + cos * down + sin * right, middle.1 - sin * down + cos * right);
        let (top, left) = (from.0.floor(), from.1.floor());
        let (v, u) = (from.0 - top, from.1 - left);
        let corner = |dy: isize, dx: isize| extents.at(top as isize + dy, left as isize + dx);
        let corners = [
            (corner(0, 0), (1.0 - v) * (1.0 - u)),
            (corner(0, 1), (1.0 - v) * u),
            (corner(1, 0), v * (1.0 - u)),
            (corner(1, 1), v * u),
        ];
        for (channel, to) in pixel.iter_mut().enumerate() {
            let colours = corners.iter().filter_map(|(at, share)| Some(old[(*at)? + channel].to_f32() * share));
            *to = P::from_f32(colours.sum());
        }
    });
}

/// Blackens a square about a pixel.
pub(super) fn cutout<P: Pixel>(image: &mut [P], extents: Extents, (y, x): (usize, usize), size: usize) {
    let range = |middle: usize, end: usize| {
        let start = middle as isize - (size / 2) as isize;
        start.max(0) as usize..((start + size as isize).max(0) as usize).min(end)
    };
    for row in range(y, extents.height) {
        let columns = range(x, extents.width);
        let at = |column: usize| (row * extents.width + column) * extents.channels;
        image[at(columns.start)..at(columns.end)].fill(P::default());
    }
}

/// Makes each pixel anew from the old image.
fn resample<P: Pixel>(image: &mut [P], extents: Extents, f: impl Fn(usize, usize, &mut [P], &[P])) {
    let old = image.to_vec();
    for (i, pixel) in image.chunks_exact_mut(extents.channels).enumerate() {
        f(i / extents.width, i % extents.width, pixel, &old);
    }
}
