//! Initial values of states, computed on the host.
//!
//! Each element is a function of (seed, state name, position) alone: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
//! number generators", OOPSLA 2014) over a counter. So the values don't depend on threads, nor on the other states of a model.

use ir::{DType, Data, Scalar, SplitMix64, TensorType, Value};

/// How a state starts. Fans are those of a dense kernel `[in, out]` or a convolution kernel `[k..., in, out]`.
#[derive(Clone, PartialEq, Debug)]
pub enum Initializer {
    /// One value everywhere.
    Constant(f64),
    /// Uniform on `[low, high)`.
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// Normal.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// Normal, drawn again while further than two standard deviations from the mean.
    TruncatedNormal {
        /// The mean.
        mean: f64,
        /// The standard deviation before truncation.
        std: f64,
    },
    /// Variance `scale / n`, n by the fan: the Glorot, He and LeCun families.
    VarianceScaling {
        /// The numerator.
        scale: f64,
        /// The denominator.
        fan: Fan,
        /// The distribution.
        distribution: Distribution,
    },
    /// A random matrix with orthonormal columns (or rows, if there are more columns), times `gain`. All axes but the last are rows.
    Orthogonal {
        /// The factor.
        gain: f64,
    },
    /// One value for each of as many equal parts of the last axis: the biases of gates that stand side by side.
    Blocks(Vec<f64>),
    /// Given elements.
    Given(Value),
    /// The seed of the run itself: the key of random ops.
    Seed,
}

/// Which number of connections scales a variance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fan {
    /// Inputs of a unit.
    In,
    /// Outputs.
    Out,
    /// The mean of both.
    Average,
}

/// The shape of a distribution of given variance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distribution {
    /// Uniform, symmetric about 0.
    Uniform,
    /// Normal truncated at two standard deviations, corrected to have the variance asked for.
    TruncatedNormal,
}

/// The standard deviation of a standard normal truncated at ±2.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// Zeros.
pub fn zeros() -> Initializer {
    Initializer::Constant(0.0)
}

/// Ones.
pub fn ones() -> Initializer {
    Initializer::Constant(1.0)
}

/// `value` everywhere.
pub fn constant(value: f64) -> Initializer {
    Initializer::Constant(value)
}

/// Uniform on `[low, high)`.
pub fn uniform(low: f64, high: f64) -> Initializer {
    Initializer::Uniform { low, high }
}

/// Normal.
pub fn normal(mean: f64, std: f64) -> Initializer {
    Initializer::Normal { mean, std }
}

/// Normal, drawn again while further than two standard deviations from the mean.
pub fn truncated_normal(mean: f64, std: f64) -> Initializer {
    Initializer::TruncatedNormal { mean, std }
}

/// Orthonormal columns or rows (Saxe, McClelland and Ganguli, arXiv 1312.6120).
pub fn orthogonal() -> Initializer {
    Initializer::Orthogonal { gain: 1.0 }
}

macro_rules! scaled {
    ($($name:ident, $scale:literal, $fan:ident, $distribution:ident, $doc:literal;)*) => { $(
        #[doc = $doc]
        pub fn $name() -> Initializer {
            Initializer::VarianceScaling { scale: $scale, fan: Fan::$fan, distribution: Distribution::$distribution }
        }
    )* };
}

scaled! {
    glorot_uniform, 1.0, Average, Uniform, "Uniform on ±sqrt(6 / (in + out)) (Glorot and Bengio, AISTATS 2010).";
    glorot_normal, 1.0, Average, TruncatedNormal, "Truncated normal of variance 2 / (in + out) (Glorot and Bengio, AISTATS 2010).";
    he_uniform, 2.0, In, Uniform, "Uniform on ±sqrt(6 / in) (He et al., arXiv 1502.01852).";
    he_normal, 2.0, In, TruncatedNormal, "Truncated normal of variance 2 / in (He et al., arXiv 1502.01852).";
    lecun_uniform, 1.0, In, Uniform, "Uniform on ±sqrt(3 / in) (LeCun et al., Efficient BackProp, 1998).";
    lecun_normal, 1.0, In, TruncatedNormal, "Truncated normal of variance 1 / in (LeCun et al., Efficient BackProp, 1998).";
}

/// (inputs, outputs) of a unit: `[in, out]`, `[k..., in, out]`; a vector's extent is both.
pub(crate) fn fans(dims: &[usize]) -> (usize, usize) {
    match dims {
        [] => (1, 1),
        [n] => (*n, *n),
        [window @ .., inputs, outputs] => {
            let taps: usize = window.iter().product();
            (taps * inputs, taps * outputs)
        }
    }
}

/// A stream of random words, one per counter.
struct Stream(u64);

impl Stream {
    /// The stream of a state: the name enters by FNV-1a.
    fn new(seed: u64, name: &str) -> Self {
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(SplitMix64::mix(SplitMix64::mix(seed) ^ hash))
    }

    fn word(&self, counter: u64) -> u64 {
        SplitMix64::mix(self.0.wrapping_add(counter.wrapping_add(1).wrapping_mul(SplitMix64::STEP)))
    }

    /// Uniform on [0, 1), 53 bits.
    fn uniform(&self, counter: u64) -> f64 {
        (self.word(counter) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normal, by Box and Muller, from the words `2 * counter` and `2 * counter + 1`.
    fn normal(&self, counter: u64) -> f64 {
        let (u, v) = (1.0 - self.uniform(2 * counter), self.uniform(2 * counter + 1));
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Normal, the first of this element's draws that is within 2.
    fn truncated(&self, counter: u64) -> f64 {
        // A draw fails with probability 0.0455, so 64 draws fail together with probability 1e-86.
        let draws = (0..64).map(|attempt| self.normal(counter * 64 + attempt));
        draws.into_iter().find(|x| x.abs() <= 2.0).unwrap_or(0.0)
    }
}

/// Orthonormalizes `columns` in order, by Gram and Schmidt, each projection twice (which brings the loss of orthogonality down to rounding).
fn orthonormalize(columns: &mut [Vec<f64>]) {
    for j in 0..columns.len() {
        let (done, rest) = columns.split_at_mut(j);
        let column = &mut rest[0];
        for _ in 0..2 {
            for q in done.iter() {
                let dot: f64 = q.iter().zip(column.iter()).map(|(a, b)| a * b).sum();
                column.iter_mut().zip(q).for_each(|(c, q)| *c -= dot * q);
            }
        }
        let norm = column.iter().map(|c| c * c).sum::<f64>().sqrt();
        column.iter_mut().for_each(|c| *c /= norm);
    }
}

/// Row-major elements of a `rows x cols` matrix with orthonormal columns, or rows if there are fewer.
fn orthogonal_matrix(stream: &Stream, rows: usize, cols: usize) -> Vec<f64> {
    let (long, short) = (rows.max(cols), rows.min(cols));
    let mut vectors: Vec<Vec<f64>> =
        (0..short).map(|j| (0..long).map(|i| stream.normal((j * long + i) as u64)).collect()).collect();
    orthonormalize(&mut vectors);
    let at = |r: usize, c: usize| if rows >= cols { vectors[c][r] } else { vectors[r][c] };
    (0..rows * cols).map(|i| at(i / cols, i % cols)).collect()
}

/// A value of these elements, by position. Models are large and mostly of these two types: no detour for them.
fn fill(ty: &TensorType, f: impl Fn(u64) -> f64) -> Value {
    let positions = 0..ty.shape.numel() as u64;
    let data = match ty.dtype {
        DType::F32 => Data::F32(positions.map(|i| f(i) as f32).collect()),
        DType::F64 => Data::F64(positions.map(f).collect()),
        dtype => return Value::from_fn(ty.clone(), |i| Scalar::from_f64(f(i as u64), dtype)),
    };
    Value::new(ty.clone(), data).expect("as many elements of its type as the shape has")
}

impl Initializer {
    /// Whether every element is plus 0.
    pub(crate) fn is_zeros(&self) -> bool {
        matches!(self, Self::Constant(value) if value.to_bits() == 0)
    }

    /// Bytes that making a value takes, the value's own included.
    pub(crate) fn bytes(&self, ty: &TensorType) -> u128 {
        let elements = ty.shape.numel() as u128;
        let own = elements * ty.dtype.size_bytes() as u128;
        // Orthogonal vectors, and the matrix made of them.
        own + if let Self::Orthogonal { .. } = self { 2 * elements * size_of::<f64>() as u128 } else { 0 }
    }

    /// Whether it makes values of that type.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn check(&self, ty: &TensorType) -> Result<(), String> {
        match self {
            Self::Given(value) if value.ty() != ty => {
                Err(format!("the initial value is {}, the state {ty}", value.ty()))
            }
            Self::Blocks(values) => {
                let extent = ty.shape.last().copied().unwrap_or(1);
                let fits = !values.is_empty() && extent.is_multiple_of(values.len());
                fits.then_some(()).ok_or_else(|| format!("{} equal parts can't be made of {}", values.len(), ty.shape))
            }
            Self::Given(_) | Self::Constant(_) | Self::Seed => Ok(()),
            _ if !ty.dtype.is_float() => Err(format!("random initial values need a float type, not {}", ty.dtype)),
            Self::Orthogonal { .. } if ty.shape.rank() < 2 => {
                Err(format!("an orthogonal initial value needs at least two axes, not {}", ty.shape))
            }
            _ => Ok(()),
        }
    }

    /// The value for a state of type `ty` called `name`, which [`Initializer::check`] accepts.
    pub fn value(&self, ty: &TensorType, seed: u64, name: &str) -> Value {
        let stream = Stream::new(seed, name);
        match self {
            Self::Constant(v) => Value::splat(Scalar::from_f64(*v, ty.dtype), ty.shape.clone()),
            Self::Blocks(values) => {
                let extent = ty.shape.last().copied().unwrap_or(1);
                fill(ty, |i| values[i as usize % extent * values.len() / extent])
            }
            Self::Uniform { low, high } => fill(ty, |i| low + (high - low) * stream.uniform(i)),
            Self::Normal { mean, std } => fill(ty, |i| mean + std * stream.normal(i)),
            Self::TruncatedNormal { mean, std } => fill(ty, |i| mean + std * stream.truncated(i)),
            Self::VarianceScaling { scale, fan, distribution } => {
                let (inputs, outputs) = fans(&ty.shape);
                let n = match fan {
                    Fan::In => inputs as f64,
                    Fan::Out => outputs as f64,
                    Fan::Average => (inputs + outputs) as f64 / 2.0,
                };
                let std = (scale / n).sqrt();
                match distribution {
                    Distribution::Uniform => fill(ty, |i| std * 3f64.sqrt() * (2.0 * stream.uniform(i) - 1.0)),
                    Distribution::TruncatedNormal => fill(ty, |i| std / TRUNCATED_STD * stream.truncated(i)),
                }
            }
            Self::Orthogonal { gain } => {
                let cols = ty.shape.last().copied().unwrap_or(1);
                let matrix = orthogonal_matrix(&stream, ty.shape.numel() / cols, cols);
                fill(ty, |i| gain * matrix[i as usize])
            }
            Self::Given(value) => value.clone(),
            Self::Seed => Value::from_fn(ty.clone(), |_| Scalar::from_i64(seed as i64, ty.dtype)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::Shape;

    fn value(init: &Initializer, dims: &[usize], name: &str) -> Vec<f64> {
        init.value(&TensorType::new(DType::F64, Shape::new(dims).unwrap()), 7, name).to_f64_vec()
    }

    fn moments(v: &[f64]) -> (f64, f64) {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        (mean, v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64)
    }

    #[test]
    fn variances_are_those_of_the_papers() {
        let dims = [3, 3, 20, 40];
        let cases = [
            (glorot_uniform(), 2.0f64 / (9.0 * 60.0)),
            (glorot_normal(), 2.0 / (9.0 * 60.0)),
            (he_normal(), 2.0 / 180.0),
            (he_uniform(), 2.0 / 180.0),
            (lecun_normal(), 1.0 / 180.0),
            (lecun_uniform(), 1.0 / 180.0),
        ];
        for (init, want) in cases {
            let (mean, var) = moments(&value(&init, &dims, "w"));
            assert!(mean.abs() < 0.05 * want.sqrt(), "{init:?}: mean {mean}");
            assert!((var / want - 1.0).abs() < 0.05, "{init:?}: variance {var}, not {want}");
        }
        let bound = (6.0f64 / (9.0 * 60.0)).sqrt();
        assert!(value(&glorot_uniform(), &dims, "w").iter().all(|x| x.abs() <= bound));
        assert!(value(&truncated_normal(1.0, 0.5), &[10_000], "w").iter().all(|x| (x - 1.0).abs() <= 1.0));
    }

    #[test]
    fn orthogonal_matrices_are() {
        for (rows, cols) in [(12, 5), (5, 12), (7, 7)] {
            let m = value(&orthogonal(), &[rows, cols], "w");
            let at = |r: usize, c: usize| m[r * cols + c];
            let n = rows.min(cols);
            for a in 0..n {
                for b in 0..n {
                    let dot: f64 = (0..rows.max(cols))
                        .map(|i| if rows >= cols { at(i, a) * at(i, b) } else { at(a, i) * at(b, i) })
                        .sum();
                    assert!((dot - f64::from(u8::from(a == b))).abs() < 1e-14);
                }
            }
        }
    }

    #[test]
    fn values_depend_on_name_and_seed_alone() {
        let a = value(&glorot_uniform(), &[4, 4], "dense/kernel");
        assert_eq!(a, value(&glorot_uniform(), &[4, 4], "dense/kernel"));
        assert_ne!(a, value(&glorot_uniform(), &[4, 4], "dense_1/kernel"));
        assert_eq!(value(&Initializer::Seed, &[], "k"), [7.0]);
    }

    #[test]
    fn refuses_types_it_has_no_values_for() {
        let ty = TensorType::new(DType::I32, Shape::new([4]).unwrap());
        assert!(glorot_uniform().check(&ty).is_err());
        assert!(zeros().check(&ty).is_ok());
        assert!(orthogonal().check(&ty.with_dtype(DType::F32)).is_err());
    }
}
