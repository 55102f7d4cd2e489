//! Images of other sizes: each axis is resampled by weights that its extents give.

use super::index::gathered;
use super::shape::signed;
use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::item::{ImportItem, KnownTensor, Laid};
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor, TypeSpec};
use ir::{Data, Scalar};

/// The operators.
pub(super) const OPS: &[OpEntry] =
    &[op("Resize", &[10, 11, 13, 18, 19], resize), op("Upsample", &[1, 7, 9, 10], upsample)];

/// How places of the result are places of the image, and what is taken there.
struct Resampling {
    mode: String,
    coordinates: String,
    nearest: String,
    cubic: f64,
    exclude_outside: bool,
    antialias: bool,
    extrapolation: f64,
}

/// One axis: its extents, its factor, the part of it that is taken.
#[derive(Clone, Copy)]
struct ResampledAxis {
    from: usize,
    to: usize,
    scale: f64,
    roi: (f64, f64),
}

/// For each place of the result, places of the image with weights; `None` where it lies outside.
type AxisTaps = Vec<Option<Vec<(usize, f64)>>>;

fn upsample(c: &mut Call<'_, '_>) -> Results {
    let scales = match c.float_list("scales") {
        Some(scales) => scales,
        None => c.known(1)?.to_floats(),
    };
    let how = Resampling {
        mode: c.text("mode", "nearest"),
        coordinates: "asymmetric".into(),
        nearest: "floor".into(),
        cubic: -0.75,
        exclude_outside: false,
        antialias: false,
        extrapolation: 0.0,
    };
    let dims = c.dims(0)?;
    let axes = along(&dims, &(0..dims.len()).collect::<Vec<_>>(), &scales, None, &[])?;
    resampled(c, &how, &axes)
}

fn resize(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let how = Resampling {
        mode: c.text("mode", "nearest"),
        coordinates: if c.version < 11 {
            "asymmetric".into()
        } else {
            c.text("coordinate_transformation_mode", "half_pixel")
        },
        nearest: if c.version < 11 { "floor".into() } else { c.text("nearest_mode", "round_prefer_floor") },
        cubic: c.float("cubic_coeff_a", -0.75),
        exclude_outside: c.flag("exclude_outside", false),
        antialias: c.flag("antialias", false),
        extrapolation: c.float("extrapolation_value", 0.0),
    };
    let axes = match c.int_list("axes") {
        Some(axes) => axes.iter().map(|&axis| Call::axis(axis, dims.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..dims.len()).collect(),
    };
    if c.version < 11 {
        let axes = along(&dims, &axes, &c.known(1)?.to_floats(), None, &[])?;
        return resampled(c, &how, &axes);
    }
    let roi = if how.coordinates == "tf_crop_and_resize" { c.optional_floats(1)?.unwrap_or_default() } else { vec![] };
    let scales = c.optional_floats(2)?.unwrap_or_default();
    let sizes = c.optional_ints(3)?.map(|sizes| crate::stored::extents(&sizes)).transpose()?;
    let sizes = sizes.map(|(sizes, _)| kept_ratio(c, &dims, &axes, sizes)).transpose()?;
    let axes = along(&dims, &axes, &scales, sizes, &roi)?;
    resampled(c, &how, &axes)
}

/// Extents and factors of the axes that change.
fn kept_ratio(
    c: &Call<'_, '_>,
    dims: &[usize],
    axes: &[usize],
    sizes: Vec<usize>,
) -> Result<Vec<(usize, f64)>, Refusal> {
    if sizes.len() != axes.len() {
        return Err(Refusal::broken(format!("{} extents of {} axes", sizes.len(), axes.len())));
    }
    let factor = |(&size, &axis): (&usize, &usize)| size as f64 / dims[axis] as f64;
    let factors: Vec<f64> = sizes.iter().zip(axes).map(factor).collect();
    let common = match c.text("keep_aspect_ratio_policy", "stretch").as_str() {
        "not_larger" => factors.iter().copied().fold(f64::INFINITY, f64::min),
        "not_smaller" => factors.iter().copied().fold(0.0, f64::max),
        _ => return Ok(sizes.into_iter().zip(factors).collect()),
    };
    Ok(axes.iter().map(|&axis| ((common * dims[axis] as f64 + 0.5).floor() as usize, common)).collect())
}

/// The most places of an axis that is resampled.
const MOST_PLACES: usize = 1 << 18;
/// The most taps at each side of a place.
const MOST_REACH: f64 = 1024.0;
/// The most taps of an axis.
const MOST_TAPS: usize = 1 << 22;

/// What is to be done along each axis of the tensor.
fn along(
    dims: &[usize],
    axes: &[usize],
    scales: &[f64],
    sizes: Option<Vec<(usize, f64)>>,
    roi: &[f64],
) -> Result<Vec<ResampledAxis>, Refusal> {
    if sizes.is_none() && scales.len() != axes.len() {
        return Err(Refusal::broken(format!("{} factors of {} axes", scales.len(), axes.len())));
    }
    let mut all: Vec<ResampledAxis> =
        dims.iter().map(|&d| ResampledAxis { from: d, to: d, scale: 1.0, roi: (0.0, 1.0) }).collect();
    for (i, &axis) in axes.iter().enumerate() {
        let (to, scale) = match &sizes {
            Some(sizes) => sizes[i],
            None => ((dims[axis] as f64 * scales[i]).floor() as usize, scales[i]),
        };
        let part = |at: usize, otherwise: f64| roi.get(at).copied().unwrap_or(otherwise);
        all[axis] = ResampledAxis { from: dims[axis], to, scale, roi: (part(i, 0.0), part(i + axes.len(), 1.0)) };
        if to == 0 || to != dims[axis] && to > MOST_PLACES || !scale.is_finite() || scale <= 0.0 {
            return Err(Refusal::broken(format!("axis {axis} of {} is to become {to}", dims[axis])));
        }
    }
    Ok(all)
}

/// The place of the image, and whether it is outside of what is taken from.
fn place(how: &Resampling, axis: &ResampledAxis, y: usize) -> Result<(f64, bool), Refusal> {
    let (y, n, scale) = (y as f64, axis.from as f64, axis.scale);
    let whole = scale * n;
    let half = (y + 0.5) / scale - 0.5;
    let at = match how.coordinates.as_str() {
        "half_pixel" => half,
        "asymmetric" => y / scale,
        "pytorch_half_pixel" if whole == 1.0 => -0.5,
        "pytorch_half_pixel" => half,
        "align_corners" if whole == 1.0 => 0.0,
        "align_corners" => y * (n - 1.0) / (whole - 1.0),
        "half_pixel_symmetric" => n / 2.0 * (1.0 - axis.to as f64 / whole) + half,
        "tf_crop_and_resize" => {
            let (start, end) = axis.roi;
            let step = if whole == 1.0 {
                (end - start) * (n - 1.0) / 2.0
            } else {
                y * (end - start) * (n - 1.0) / (whole - 1.0)
            };
            let at = step + start * (n - 1.0);
            return Ok((at, at < 0.0 || at > n - 1.0));
        }
        other => return Err(Refusal::case(format!("coordinates {other:?}"))),
    };
    Ok((at, false))
}

/// The cubic kernel at a distance.
fn cubic(a: f64, distance: f64) -> f64 {
    let d = distance.abs();
    if d <= 1.0 {
        ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0
    } else if d < 2.0 {
        ((d - 5.0) * d + 8.0) * d * a - 4.0 * a
    } else {
        0.0
    }
}

/// Places around a point with weights, before those outside of the image are looked at.
fn around(how: &Resampling, axis: &ResampledAxis, at: f64) -> Result<Vec<(i64, f64)>, Refusal> {
    let base = at.floor();
    if how.mode == "nearest" {
        let chosen = match how.nearest.as_str() {
            "floor" => base,
            "ceil" => at.ceil(),
            "round_prefer_ceil" => (at + 0.5).floor(),
            "round_prefer_floor" => (at - 0.5).ceil(),
            other => return Err(Refusal::case(format!("nearest mode {other:?}"))),
        };
        return Ok(vec![(chosen as i64, 1.0)]);
    }
    // Shrunk images are smoothed: the kernel is as much wider.
    let shrink = if how.antialias { axis.scale.min(1.0) } else { 1.0 };
    let (reach, weight): (f64, &dyn Fn(f64) -> f64) = match how.mode.as_str() {
        "linear" => (1.0, &|d: f64| (1.0 - d.abs()).max(0.0)),
        "cubic" => (2.0, &|d: f64| cubic(how.cubic, d)),
        other => return Err(Refusal::case(format!("mode {other:?}"))),
    };
    if reach / shrink > MOST_REACH {
        return Err(Refusal::Limit(format!("{} taps of each place", 2.0 * reach / shrink)));
    }
    let (first, last) = ((at - reach / shrink).ceil() as i64, (at + reach / shrink).floor() as i64);
    let taps: Vec<(i64, f64)> = (first..=last).map(|i| (i, weight((i as f64 - at) * shrink))).collect();
    let sum: f64 = taps.iter().map(|tap| tap.1).sum();
    Ok(taps.into_iter().map(|(i, w)| (i, w / sum)).filter(|tap| tap.1 != 0.0).collect())
}

/// The taps of all places along an axis.
fn taps(how: &Resampling, axis: &ResampledAxis) -> Result<AxisTaps, Refusal> {
    let mut all = AxisTaps::with_capacity(axis.to);
    let mut count = 0;
    for y in 0..axis.to {
        let (at, is_outside) = place(how, axis, y)?;
        if is_outside {
            all.push(None);
            continue;
        }
        let mut taps = around(how, axis, at)?;
        count += taps.len();
        if count > MOST_TAPS {
            return Err(Refusal::Limit(format!("more than {MOST_TAPS} taps of {} places", axis.to)));
        }
        let n = axis.from as i64;
        if how.exclude_outside {
            taps.retain(|tap| (0..n).contains(&tap.0));
            let sum: f64 = taps.iter().map(|tap| tap.1).sum();
            taps.iter_mut().for_each(|tap| tap.1 /= sum);
        }
        all.push(Some(taps.into_iter().map(|(i, w)| (i.clamp(0, n - 1) as usize, w)).collect()));
    }
    Ok(all)
}

/// The tensor with each axis that changes resampled. Channels that are last stay it.
fn resampled(c: &Call<'_, '_>, how: &Resampling, axes: &[ResampledAxis]) -> Results {
    let laid = match c.item(0)? {
        ImportItem::Graph(laid) => laid.clone(),
        _ => Laid::Plain(c.tensor(0)?),
    };
    let x = laid.as_is().clone();
    let Some(dtype) = x.dtype() else { return one(x) };
    let axes = &match laid {
        Laid::ChannelsLast(_) if axes.len() >= 3 => [&axes[..1], &axes[2..], &axes[1..2]].concat(),
        _ => axes.to_vec(),
    };
    let mut y = if dtype.is_float() { x } else { x.cast(DType::F32) };
    let mut outside: Option<Tensor> = None;
    for (axis, along) in axes.iter().enumerate() {
        let crops = how.coordinates == "tf_crop_and_resize" && along.roi != (0.0, 1.0);
        if along.from == along.to && (along.scale - 1.0).abs() < 1e-12 && !crops {
            continue;
        }
        let taps = taps(how, along)?;
        if taps.iter().any(Option::is_none) {
            let mut dims = vec![1; axes.len()];
            dims[axis] = taps.len();
            let mask = Data::Bool(taps.iter().map(Option::is_none).collect());
            let mask = KnownTensor::new(&dims, mask)?.in_graph(&c.g, "outside")?;
            outside = Some(outside.map_or(mask.clone(), |all| all.or(&mask)));
        }
        y = resampled_axis(c, &y, axis, along, &taps)?;
    }
    if let Some(outside) = outside {
        let dims: Vec<usize> = axes.iter().map(|along| along.to).collect();
        let kind = y.dtype().unwrap_or(dtype);
        let value = c.g.full(how.extrapolation, TypeSpec::new(kind, dims));
        y = outside.select(&value, &y);
    }
    // The conversion saturates.
    let y = if dtype.is_int() && dtype.size_bytes() <= 2 { y.round() } else { y };
    Ok(vec![ImportItem::Graph(laid.like(y.cast(dtype)))])
}

/// How often each place is repeated, if that is all that is done.
fn repeats(along: &ResampledAxis, taps: &AxisTaps) -> Option<usize> {
    let times = along.to / along.from;
    let is_repeated = |(y, place): (usize, &Option<Vec<(usize, f64)>>)| matches!(place.as_deref(), Some([(at, weight)]) if *at == y / times && *weight == 1.0);
    (along.to == times * along.from && taps.iter().enumerate().all(is_repeated)).then_some(times)
}

/// Few taps are gathered one after the other, many are a product with a matrix.
fn resampled_axis(
    c: &Call<'_, '_>,
    x: &Tensor,
    axis: usize,
    along: &ResampledAxis,
    taps: &AxisTaps,
) -> Result<Tensor, Refusal> {
    /// The most taps that are gathered.
    const FEW: usize = 4;
    /// The most elements of a matrix of weights.
    const MOST: usize = 1 << 24;
    let Some((dtype, mut dims)) = x.ty().map(|ty| (ty.dtype, ty.shape.dims().to_vec())) else { return Ok(x.clone()) };
    if let Some(times) = repeats(along, taps) {
        let (mut wide, mut whole) = (dims.clone(), dims);
        wide.insert(axis + 1, times);
        whole[axis] *= times;
        return Ok(x.unsqueeze(axis as isize + 1).broadcast_to(wide).reshape(signed(&whole)));
    }
    let width = taps.iter().flatten().map(Vec::len).max().unwrap_or(0).max(1);
    if width <= FEW {
        let tap = |place: &Option<Vec<(usize, f64)>>, k: usize| {
            place.as_ref().and_then(|taps| taps.get(k).copied()).unwrap_or((0, 0.0))
        };
        dims.fill(1);
        dims[axis] = taps.len();
        let mut sum: Option<Tensor> = None;
        for k in 0..width {
            let places: Vec<i64> = taps.iter().map(|place| tap(place, k).0 as i64).collect();
            let part = gathered(x, &KnownTensor::ints(&places).in_graph(&c.g, "places")?, axis);
            let weights: Vec<f64> = taps.iter().map(|place| tap(place, k).1).collect();
            let part = match weights.iter().all(|&w| w == 1.0) {
                true => part,
                false => part * KnownTensor::new(&dims, data(&weights, dtype))?.in_graph(&c.g, "weights")?,
            };
            sum = Some(sum.map_or(part.clone(), |sum| sum + part));
        }
        return Ok(sum.unwrap_or_else(|| x.clone()));
    }
    if along.from.saturating_mul(taps.len()) > MOST {
        return Err(Refusal::Limit(format!("weights of {} by {} places", along.from, taps.len())));
    }
    let mut matrix = vec![0.0; along.from * taps.len()];
    for (y, place) in taps.iter().enumerate() {
        place.iter().flatten().for_each(|&(i, w)| matrix[i * taps.len() + y] += w);
    }
    let matrix = KnownTensor::new(&[along.from, taps.len()], data(&matrix, dtype))?.in_graph(&c.g, "weights")?;
    Ok(x.swap_axes(axis as isize, -1).matmul(matrix).swap_axes(axis as isize, -1))
}

/// Numbers as elements of a type.
fn data(values: &[f64], dtype: DType) -> Data {
    let mut data = Data::splat(Scalar::zero(dtype), values.len());
    values.iter().enumerate().for_each(|(i, &v)| data.set(i, Scalar::from_f64(v, dtype)));
    data
}
