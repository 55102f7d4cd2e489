//! Images read at places that are computed: grids of points, and regions.

use super::full_like;
use super::shape::{extents, signed};
use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::item::{ImportItem, KnownTensor};
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor, TypeSpec};
use ir::{Data, Scalar};

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("AffineGrid", &[20], affine_grid),
    op("GridSample", &[16, 20, 22], grid_sample),
    op("RoiAlign", &[10, 16, 22], roi_align),
];

/// The places of an axis in -1 to 1: those of its ends, or of the middles of its first and last element.
fn unit_places(n: usize, align_corners: bool) -> Vec<f64> {
    let at = |i: usize| match (align_corners, n) {
        (true, 1) => 0.0,
        (true, _) => 2.0 * i as f64 / (n - 1) as f64 - 1.0,
        (false, _) => (2.0 * i as f64 + 1.0) / n as f64 - 1.0,
    };
    (0..n).map(at).collect()
}

/// Points of an image, each moved by a matrix of each sample.
fn affine_grid(c: &mut Call<'_, '_>) -> Results {
    /// The most points.
    const MOST: usize = 1 << 20;
    let dims = extents(c, 1)?;
    let [n, _, spatial @ ..] = &dims[..] else { return Err(Refusal::broken("it is of [n, channels, spatial...]")) };
    let (rank, numel) = (spatial.len(), spatial.iter().try_fold(1usize, |n, &d| n.checked_mul(d)));
    let numel = numel.filter(|n| (1..=MOST).contains(n));
    let numel = numel.ok_or_else(|| Refusal::Limit(format!("a grid of {spatial:?} points")))?;
    let along: Vec<Vec<f64>> = spatial.iter().map(|&d| unit_places(d, c.flag("align_corners", false))).collect();
    let dtype = c.dtype(0)?;
    // Coordinates of each point, the last axis first, and 1.
    let mut data = Data::splat(Scalar::zero(dtype), numel * (rank + 1));
    for point in 0..numel {
        let mut rest = point;
        for (k, axis) in (0..rank).rev().enumerate() {
            let value = along[axis][rest % spatial[axis]];
            rest /= spatial[axis];
            data.set(point * (rank + 1) + k, Scalar::from_f64(value, dtype));
        }
        data.set(point * (rank + 1) + rank, Scalar::from_f64(1.0, dtype));
    }
    let points = KnownTensor::new(&[numel, rank + 1], data)?.in_graph(&c.g, "points")?;
    let moved = c.tensor(0)?.matmul(points.transpose()).permute([0, 2, 1]);
    let shape = [&[*n], spatial, &[rank]].concat();
    one(moved.reshape(signed(&shape)))
}

/// What lies beyond an image's borders.
#[derive(Clone, Copy, PartialEq)]
enum GridBorder {
    Zeros,
    Edge,
    Reflection,
}

/// An image whose elements are rows, `[n * places, channels]`, read at points of its places.
struct SampledImage {
    rows: Tensor,
    /// For each point the first row of its sample: `[n, 1]`.
    first: Tensor,
    extents: Vec<usize>,
    beyond: GridBorder,
    align_corners: bool,
}

impl SampledImage {
    /// Coordinates brought back into an axis by reflection at its ends.
    fn reflected(&self, x: &Tensor, axis: usize) -> Tensor {
        let n = self.extents[axis] as f64;
        let (low, high) = if self.align_corners { (0.0, n - 1.0) } else { (-0.5, n - 0.5) };
        let range = high - low;
        if range <= 0.0 {
            return full_like(x, low);
        }
        let turned = x - low;
        let turned = &turned - (&turned / (2.0 * range)).floor() * (2.0 * range);
        turned.gt(range).select(&(2.0 * range - &turned), &turned) + low
    }

    /// Coordinates of points, before they are rounded or lie between elements.
    fn placed(&self, x: &Tensor, axis: usize) -> Tensor {
        match self.beyond {
            GridBorder::Zeros => x.clone(),
            GridBorder::Edge => x.clamp(0.0, self.extents[axis] as f64 - 1.0),
            GridBorder::Reflection => self.reflected(x, axis),
        }
    }

    /// The elements at whole coordinates `[n, points]` of each axis: `[n, points, channels]`.
    fn at(&self, coordinates: &[Tensor]) -> Tensor {
        let mut row = self.first.clone();
        let mut inside: Option<Tensor> = None;
        let mut stride = self.extents.iter().product::<usize>();
        for (axis, x) in coordinates.iter().enumerate() {
            let last = self.extents[axis] as f64 - 1.0;
            stride /= self.extents[axis];
            let x = if self.beyond == GridBorder::Reflection { self.reflected(x, axis).round() } else { x.clone() };
            let own = x.ge(0.0).and(x.le(last));
            inside = Some(inside.map_or(own.clone(), |all| all.and(own)));
            row = row + x.clamp(0.0, last).cast(DType::I64) * (stride as i64);
        }
        let found = self.rows.gather(&row);
        match inside.filter(|_| self.beyond == GridBorder::Zeros) {
            Some(inside) => inside.unsqueeze(-1).select(&found, full_like(&found, 0.0)),
            None => found,
        }
    }

    /// The sum over all choices of one tap for each axis, of elements by products of weights.
    fn sum(&self, taps: &[Vec<(Tensor, Tensor)>]) -> Option<Tensor> {
        let count: usize = taps.iter().map(Vec::len).product();
        let mut sum: Option<Tensor> = None;
        for choice in 0..count {
            let (mut rest, mut places, mut weight): (usize, Vec<Tensor>, Option<Tensor>) = (choice, vec![], None);
            for axis in taps {
                let (place, own) = &axis[rest % axis.len()];
                rest /= axis.len();
                places.push(place.clone());
                weight = Some(weight.map_or(own.clone(), |w| w * own));
            }
            let part = self.at(&places) * weight?.unsqueeze(-1);
            sum = Some(sum.map_or(part.clone(), |sum| sum + part));
        }
        sum
    }
}

/// Places around coordinates with the weights of linear interpolation.
fn linear(x: &Tensor) -> Vec<(Tensor, Tensor)> {
    let base = x.floor();
    let part = x - &base;
    vec![(base.clone(), 1.0 - &part), (base + 1.0, part)]
}

/// Places around coordinates with the weights of cubic convolution (Keys 1981, with a = -0.75).
fn cubic(x: &Tensor) -> Vec<(Tensor, Tensor)> {
    const A: f64 = -0.75;
    let base = x.floor();
    let part = x - &base;
    let near = |d: &Tensor| (d * (A + 2.0) - (A + 3.0)) * d * d + 1.0;
    let far = |d: &Tensor| ((d * A - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A;
    let other = 1.0 - &part;
    vec![
        (&base - 1.0, far(&(&part + 1.0))),
        (base.clone(), near(&part)),
        (&base + 1.0, near(&other)),
        (&base + 2.0, far(&(&other + 1.0))),
    ]
}

fn grid_sample(c: &mut Call<'_, '_>) -> Results {
    let (dims, grid) = (c.dims(0)?, c.dims(1)?);
    let rank = dims.len().saturating_sub(2);
    if rank == 0 || rank > 3 || grid.len() != dims.len() || grid[rank + 1] != rank || grid[0] != dims[0] {
        return Err(Refusal::broken(format!("a grid {grid:?} of points in {dims:?}")));
    }
    let beyond = match c.text("padding_mode", "zeros").as_str() {
        "zeros" => GridBorder::Zeros,
        "border" => GridBorder::Edge,
        "reflection" => GridBorder::Reflection,
        other => return Err(Refusal::case(format!("padding {other:?}"))),
    };
    let (n, channels, spatial) = (dims[0], dims[1], &dims[2..]);
    let (places, points) = (spatial.iter().product::<usize>(), grid[1..=rank].iter().product::<usize>());
    let image = SampledImage {
        rows: c.channels_last(0)?.reshape(signed(&[n * places, channels])),
        first: c.g.iota(TypeSpec::new(DType::I64, [n, 1]), 0) * (places as i64),
        extents: spatial.to_vec(),
        beyond,
        align_corners: c.flag("align_corners", false),
    };
    let grid_points = c.tensor(1)?.reshape(signed(&[n, points, rank]));
    let coordinate = |axis: usize| {
        // The last axis comes first.
        let k = rank - 1 - axis;
        let (unit, extent) = (grid_points.slice_axis(2, k..k + 1).squeeze([2]), spatial[axis] as f64);
        if image.align_corners { (unit + 1.0) * ((extent - 1.0) / 2.0) } else { ((unit + 1.0) * extent - 1.0) * 0.5 }
    };
    let coordinates: Vec<Tensor> = (0..rank).map(coordinate).collect();
    let placed = || coordinates.iter().enumerate().map(|(axis, x)| image.placed(x, axis));
    let sum = match c.text("mode", "linear").as_str() {
        "nearest" => Some(image.at(&placed().map(|x| x.round()).collect::<Vec<_>>())),
        "linear" | "bilinear" => image.sum(&placed().map(|x| linear(&x)).collect::<Vec<_>>()),
        // Elements beyond the borders are each what the borders say.
        "cubic" | "bicubic" => image.sum(&coordinates.iter().map(cubic).collect::<Vec<_>>()),
        other => return Err(Refusal::case(format!("mode {other:?}"))),
    };
    let sum = sum.ok_or_else(|| Refusal::broken("a grid without axes"))?;
    let shape = [&grid[..=rank], &[channels]].concat();
    Ok(vec![ImportItem::channels_last(sum.reshape(signed(&shape)))])
}

/// Regions of images, each as as many averages, or largest elements, of points in it.
fn roi_align(c: &mut Call<'_, '_>) -> Results {
    /// The most points of a region.
    const MOST: usize = 1 << 16;
    let (dims, regions) = (c.dims(0)?, c.dims(1)?);
    let (&[n, channels, height, width], &[count, 4]) = (&dims[..], &regions[..]) else {
        return Err(Refusal::broken(format!("regions {regions:?} of {dims:?}")));
    };
    let number = |name: &str, otherwise: i64| usize::try_from(c.int(name, otherwise)).unwrap_or(0);
    let out = [number("output_height", 1), number("output_width", 1)];
    let each = number("sampling_ratio", 0);
    if each == 0 {
        return Err(Refusal::case("a number of points that depends on the regions' extents"));
    }
    let points = [out[0].saturating_mul(each), out[1].saturating_mul(each)];
    if points.contains(&0) || points[0].saturating_mul(points[1]) > MOST {
        return Err(Refusal::Limit(format!("regions of {points:?} points")));
    }
    let half =
        if c.text("coordinate_transformation_mode", if c.version < 16 { "" } else { "half_pixel" }) == "half_pixel" {
            0.5
        } else {
            0.0
        };
    let (scale, boxes) = (c.float("spatial_scale", 1.0), c.tensor(1)?);
    let Some(dtype) = boxes.dtype() else { return one(boxes) };
    let corner = |k: usize| boxes.slice_axis(1, k..k + 1) * scale - half;
    // For each region the points along an axis, and whether they are taken at all.
    let along = |axis: usize, extent: usize| {
        let (start, end) = (corner(1 - axis), corner(3 - axis));
        let size = if half == 0.0 { (end - &start).maximum(1.0) } else { end - &start };
        let step = size / points[axis] as f64;
        let at = c.g.iota(TypeSpec::new(dtype, [points[axis]]), 0) + 0.5;
        let x = at * step + start;
        let taken = x.ge(-1.0).and(x.le(extent as f64));
        let x = x.clamp(0.0, extent as f64 - 1.0);
        (x, taken)
    };
    let ((y, y_taken), (x, x_taken)) = (along(0, height), along(1, width));
    let image = SampledImage {
        rows: c.channels_last(0)?.reshape(signed(&[n * height * width, channels])),
        first: (c.tensor(2)?.cast(DType::I64) * ((height * width) as i64)).reshape(signed(&[count, 1])),
        extents: vec![height, width],
        beyond: GridBorder::Edge,
        align_corners: true,
    };
    let total = points[0] * points[1];
    let spread = |t: &Tensor, axis: isize| {
        t.unsqueeze(axis).broadcast_to([count, points[0], points[1]]).reshape(signed(&[count, total]))
    };
    let (y, x, taken) = (spread(&y, 2), spread(&x, 1), spread(&y_taken, 2).and(spread(&x_taken, 1)));
    let taps = [linear(&y), linear(&x)];
    let is_max = c.text("mode", "avg") == "max";
    let split = signed(&[count, out[0], each, out[1], each, channels]);
    let masked = |values: Tensor| taken.unsqueeze(-1).select(&values, full_like(&values, 0.0));
    let y = if is_max {
        // The largest of all weighted elements around the points.
        let mut largest: Option<Tensor> = None;
        for (row, down) in &taps[0] {
            for (column, across) in &taps[1] {
                let part = masked(image.at(&[row.clone(), column.clone()]) * (down * across).unsqueeze(-1));
                let part = part.reshape(split.clone()).max_axes([2, 4]);
                largest = Some(largest.map_or(part.clone(), |all| all.maximum(part)));
            }
        }
        largest
    } else {
        image.sum(&taps).map(|values| masked(values).reshape(split).mean_axes([2, 4]))
    };
    Ok(vec![ImportItem::channels_last(y.ok_or_else(|| Refusal::broken("a region without points"))?)])
}
