//! Signals: windows, Fourier transforms as products with matrices of cosines and sines, and the weights of mel bands.

use super::index::gathered;
use super::shape::signed;
use crate::call::{Call, Results, one};
use crate::error::{Refusal, dtype};
use crate::item::KnownTensor;
use crate::table::{OpEntry, op};
use gradc::dsl::{DType, Tensor};
use ir::{Data, Scalar};
use std::f64::consts::TAU;

/// The operators.
pub(super) const OPS: &[OpEntry] = &[
    op("BlackmanWindow", &[17], |c| cosines(c, [0.42, 0.5, 0.08])),
    op("DFT", &[17, 20], dft),
    op("HammingWindow", &[17], |c| cosines(c, [25.0 / 46.0, 21.0 / 46.0, 0.0])),
    op("HannWindow", &[17], |c| cosines(c, [0.5, 0.5, 0.0])),
    op("MelWeightMatrix", &[17], mel),
    op("STFT", &[17], stft),
];

/// The most elements of a window, or of a matrix of cosines.
const MOST: usize = 1 << 22;

/// Numbers as a known tensor of a type.
fn known(dims: &[usize], values: &[f64], dtype: DType) -> Result<KnownTensor, Refusal> {
    let mut data = Data::splat(Scalar::zero(dtype), values.len());
    values.iter().enumerate().for_each(|(i, &v)| data.set(i, Scalar::from_f64(v, dtype)));
    KnownTensor::new(dims, data)
}

/// A number of elements that must be known, from 1 to the most there are.
fn size(c: &Call<'_, '_>, operand: usize) -> Result<usize, Refusal> {
    let n = c.single_int(operand)?;
    let valid = usize::try_from(n).ok().filter(|n| (1..=MOST).contains(n));
    valid.ok_or_else(|| Refusal::broken(format!("a signal of {n} elements")))
}

/// The element type that attribute `output_datatype` names.
fn output_type(c: &Call<'_, '_>) -> Result<DType, Refusal> {
    dtype(i32::try_from(c.int("output_datatype", 1)).unwrap_or(-1))
}

/// A window that is a sum of cosines, `a - b cos(t) + c cos(2t)`.
fn cosines(c: &mut Call<'_, '_>, [a, b, d]: [f64; 3]) -> Results {
    let n = size(c, 0)?;
    let period = if c.flag("periodic", true) { n } else { (n - 1).max(1) } as f64;
    let at = |i: usize| TAU * i as f64 / period;
    let values: Vec<f64> = (0..n).map(|i| a - b * at(i).cos() + d * (2.0 * at(i)).cos()).collect();
    one(known(&[n], &values, output_type(c)?)?)
}

/// The weights of mel bands: triangles over the bins of a spectrum.
fn mel(c: &mut Call<'_, '_>) -> Results {
    let (bands, length) = (size(c, 0)?, size(c, 1)?);
    let number = |i: usize| -> Result<f64, Refusal> {
        c.known(i)?.to_floats().first().copied().ok_or_else(|| Refusal::broken(format!("operand {i} is empty")))
    };
    let (rate, low, high) = (number(2)?, number(3)?, number(4)?);
    let bins = length / 2 + 1;
    if bins.saturating_mul(bands) > MOST {
        return Err(Refusal::Limit(format!("weights of {bins} bins in {bands} bands")));
    }
    let to_mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let (first, last) = (to_mel(low), to_mel(high));
    let step = (last - first) / (bands + 2) as f64;
    let bin = |i: usize| {
        let hertz = 700.0 * (10f64.powf((i as f64 * step + first) / 2595.0) - 1.0);
        (((length + 1) as f64 * hertz) / rate).floor().clamp(0.0, bins as f64) as usize
    };
    let mut values = vec![0.0; bins * bands];
    for band in 0..bands {
        let (lower, centre, upper) = (bin(band), bin(band + 1), bin(band + 2));
        let mut set = |j: usize, weight: f64| {
            if j < bins {
                values[j * bands + band] = weight;
            }
        };
        let (rising, falling) = (centre.saturating_sub(lower), upper.saturating_sub(centre));
        if rising == 0 {
            set(centre, 1.0);
        } else {
            (lower..=centre).for_each(|j| set(j, (j - lower) as f64 / rising as f64));
        }
        (centre..upper).for_each(|j| set(j, (upper - j) as f64 / falling as f64));
    }
    one(known(&[bins, bands], &values, output_type(c)?)?)
}

/// Which transform.
#[derive(Clone, Copy)]
struct Fourier {
    /// Its length; a signal is cut or filled up with zeros to it.
    length: usize,
    inverse: bool,
    /// Of real signals: half of the spectrum is given, or taken.
    onesided: bool,
}

impl Fourier {
    /// Places of the result.
    fn places(self) -> usize {
        if self.onesided && !self.inverse { self.length / 2 + 1 } else { self.length }
    }

    /// How often a place of the signal counts: those of half a spectrum stand for two, but for the first, and the last one of an even length.
    fn weight(self, place: usize) -> f64 {
        let twice = self.onesided && self.inverse && place != 0 && 2 * place != self.length;
        (if twice { 2.0 } else { 1.0 }) / if self.inverse { self.length as f64 } else { 1.0 }
    }

    /// The matrices of cosines and sines for the first `n` places of a signal.
    fn matrices(self, n: usize, dtype: DType) -> Result<[KnownTensor; 2], Refusal> {
        let dims = [n, self.places()];
        if dims[0].saturating_mul(dims[1]) > MOST {
            return Err(Refusal::Limit(format!("a Fourier transform of {} places", self.length)));
        }
        let entry = |f: fn(f64) -> f64| -> Vec<f64> {
            let places = (0..n).flat_map(|t| (0..dims[1]).map(move |k| (t, k)));
            // The product is reduced before it becomes an angle, so that no digit is lost.
            let angle = |t: usize, k: usize| TAU * ((t * k) % self.length) as f64 / self.length as f64;
            places.map(|(t, k)| self.weight(t) * f(angle(t, k))).collect()
        };
        Ok([known(&dims, &entry(f64::cos), dtype)?, known(&dims, &entry(f64::sin), dtype)?])
    }

    /// The transform along an axis of `[.., 1 or 2]`, real and imaginary parts last.
    fn of(self, c: &Call<'_, '_>, x: &Tensor, axis: usize) -> Result<Tensor, Refusal> {
        let Some(ty) = x.ty() else { return Ok(x.clone()) };
        let parts = ty.shape[ty.shape.rank() - 1];
        if !(1..=2).contains(&parts) || !ty.dtype.is_float() || axis + 1 >= ty.shape.rank() {
            return Err(Refusal::broken(format!("a Fourier transform along axis {axis} of {ty}")));
        }
        let half = if self.onesided && self.inverse { self.length / 2 + 1 } else { self.length };
        let n = ty.shape[axis].min(half);
        let matrices = self.matrices(n, ty.dtype)?;
        let [cosines, sines] = [matrices[0].in_graph(&c.g, "cosines")?, matrices[1].in_graph(&c.g, "sines")?];
        let part = |i: usize| {
            let part = x.slice_axis(axis as isize, 0..n).slice_axis(-1, i..i + 1).squeeze([-1]);
            part.swap_axes(axis as isize, -1)
        };
        let real = part(0);
        let sign = if self.inverse { 1.0 } else { -1.0 };
        let (mut re, mut im) = (real.matmul(&cosines), real.matmul(&sines) * sign);
        if parts == 2 {
            let imaginary = part(1);
            re = re - imaginary.matmul(&sines) * sign;
            im = im + imaginary.matmul(&cosines);
        }
        let back = |y: Tensor| y.swap_axes(axis as isize, -1);
        Ok(if self.onesided && self.inverse { back(re).unsqueeze(-1) } else { back(re).stack(&[&back(im)], -1) })
    }
}

fn dft(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let rank = dims.len();
    let axis = match c.version {
        ..20 => c.int("axis", 1),
        _ if c.has(2) => c.single_int(2)?,
        _ => -2,
    };
    let axis = Call::axis(axis, rank)?;
    let (inverse, onesided) = (c.flag("inverse", false), c.flag("onesided", false));
    let length = match c.has(1) {
        true => size(c, 1)?,
        false if inverse && onesided => 2 * dims[axis].saturating_sub(1).max(1),
        false => dims[axis],
    };
    one(Fourier { length, inverse, onesided }.of(c, &c.tensor(0)?, axis)?)
}

/// Transforms of frames that begin some steps apart.
fn stft(c: &mut Call<'_, '_>) -> Results {
    let dims = c.dims(0)?;
    let [_, samples, _] = dims[..] else { return Err(Refusal::broken("a signal must be [batch, samples, 1 or 2]")) };
    let step = size(c, 1)?;
    let length = match (c.has(3), c.has(2)) {
        (true, _) => size(c, 3)?,
        (false, true) => c.dims(2)?.first().copied().unwrap_or(0),
        (false, false) => return Err(Refusal::broken("neither a window nor a length of frames")),
    };
    if length == 0 || length > samples {
        return Err(Refusal::broken(format!("frames of {length} in a signal of {samples} samples")));
    }
    let frames = (samples - length) / step + 1;
    if frames.saturating_mul(length) > MOST {
        return Err(Refusal::Limit(format!("{frames} frames of {length} samples")));
    }
    let places = (0..frames).flat_map(|frame| (0..length).map(move |i| (frame * step + i) as i64)).collect();
    let places = KnownTensor::new(&[frames, length], Data::I64(places))?.in_graph(&c.g, "frames")?;
    let mut x = gathered(&c.tensor(0)?, &places, 1);
    if let Some(window) = c.optional(2)? {
        x = x * window.reshape(signed(&[length, 1]));
    }
    one(Fourier { length, inverse: false, onesided: c.flag("onesided", true) }.of(c, &x, 2)?)
}
