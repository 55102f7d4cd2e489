//! Initial values of states.

use super::sampling::{Draw, HostEvaluator, Sample, orthonormalize, stream_of};
use ir::{DType, Data, Scalar, TensorType, Value};

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

/// How the elements of a state are made, in terms of its own shape.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fill<'i> {
    /// One value for each of as many equal parts of the last axis.
    Blocks(&'i [f64]),
    /// Random elements.
    Sample(Sample),
    /// A random matrix with orthonormal columns (or rows, if there are more columns), times `gain`.
    Orthogonal {
        /// The factor.
        gain: f64,
        /// Rows: all axes but the last.
        rows: usize,
        /// Columns: the last axis.
        cols: usize,
    },
    /// Given elements.
    Given(&'i Value),
    /// The seed.
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

impl Fan {
    /// The number for a state of that shape.
    fn of(self, dims: &[usize]) -> f64 {
        let (inputs, outputs) = fans(dims);
        match self {
            Self::In => inputs as f64,
            Self::Out => outputs as f64,
            Self::Average => (inputs + outputs) as f64 / 2.0,
        }
    }
}

impl Distribution {
    /// Elements of that standard deviation, with mean 0.
    fn sample(self, std: f64) -> Sample {
        match self {
            Self::Uniform => {
                let limit = std * 3f64.sqrt();
                Sample { draw: Draw::Uniform, offset: -limit, scale: 2.0 * limit }
            }
            Self::TruncatedNormal => Sample { draw: Draw::TruncatedNormal, offset: 0.0, scale: std / TRUNCATED_STD },
        }
    }
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

/// Row-major elements of a `rows x cols` matrix with orthonormal columns, or rows if there are fewer.
fn orthogonal_matrix(stream: u64, rows: usize, cols: usize) -> Vec<f64> {
    let (long, short) = (rows.max(cols), rows.min(cols));
    let mut e = HostEvaluator::default();
    let numbers = (0..(rows * cols) as u64).map(|i| Sample::STANDARD_NORMAL.value(&mut e, stream, i)).collect();
    let mut e = HostEvaluator::with_scratch(numbers);
    orthonormalize(&mut e, short as u64, long as u64);
    let vectors = e.into_scratch();
    if rows < cols {
        return vectors;
    }
    (0..rows * cols).map(|i| vectors[i % cols * rows + i / cols]).collect()
}

/// Where elements go that are made one by one, in order of position. Models are large and mostly `f32`: no detour for those.
trait Fillable {
    /// What is there then.
    type Filled;

    /// Puts the element that `f` gives at each position.
    fn fill(self, f: impl FnMut(u64) -> f64) -> Self::Filled;
}

/// A value of its own.
impl Fillable for &TensorType {
    type Filled = Value;

    fn fill(self, mut f: impl FnMut(u64) -> f64) -> Value {
        let positions = 0..self.shape.numel() as u64;
        let data = match self.dtype {
            DType::F32 => Data::F32(positions.map(|i| f(i) as f32).collect()),
            DType::F64 => Data::F64(positions.map(f).collect()),
            dtype => return Value::from_fn(self.clone(), |i| Scalar::from_f64(f(i as u64), dtype)),
        };
        Value::new(self.clone(), data).expect("as many elements of its type as the shape has")
    }
}

/// Memory that is there already.
impl Fillable for &mut [f32] {
    type Filled = ();

    fn fill(self, mut f: impl FnMut(u64) -> f64) {
        for (i, element) in (0..).zip(self) {
            *element = f(i) as f32;
        }
    }
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
            _ => {
                let numbers = match self.fill(ty) {
                    Fill::Sample(sample) => [sample.offset, sample.scale],
                    Fill::Orthogonal { gain, .. } => [0.0, gain],
                    Fill::Blocks(_) | Fill::Given(_) | Fill::Seed => [0.0; 2],
                };
                let finite = numbers.iter().all(|number| number.is_finite());
                finite.then_some(()).ok_or_else(|| format!("random initial values need finite numbers, not {self:?}"))
            }
        }
    }

    /// How elements of a state of type `ty` are made: what of a distribution depends on shapes has been worked out.
    pub fn fill(&self, ty: &TensorType) -> Fill<'_> {
        match self {
            Self::Constant(value) => Fill::Blocks(std::slice::from_ref(value)),
            Self::Blocks(values) => Fill::Blocks(values),
            Self::Given(value) => Fill::Given(value),
            Self::Seed => Fill::Seed,
            Self::Uniform { low, high } => {
                Fill::Sample(Sample { draw: Draw::Uniform, offset: *low, scale: high - low })
            }
            Self::Normal { mean, std } => Fill::Sample(Sample { draw: Draw::Normal, offset: *mean, scale: *std }),
            Self::TruncatedNormal { mean, std } => {
                Fill::Sample(Sample { draw: Draw::TruncatedNormal, offset: *mean, scale: *std })
            }
            Self::VarianceScaling { scale, fan, distribution } => {
                Fill::Sample(distribution.sample((scale / fan.of(&ty.shape)).sqrt()))
            }
            Self::Orthogonal { gain } => {
                let cols = ty.shape.last().copied().unwrap_or(1);
                Fill::Orthogonal { gain: *gain, rows: ty.shape.numel() / cols, cols }
            }
        }
    }

    /// The value for a state of type `ty` called `name`, which [`Initializer::check`] accepts.
    pub fn value(&self, ty: &TensorType, seed: u64, name: &str) -> Value {
        match self.fill(ty) {
            Fill::Blocks([value]) => Value::splat(Scalar::from_f64(*value, ty.dtype), ty.shape.clone()),
            Fill::Given(value) => value.clone(),
            Fill::Seed => Value::from_fn(ty.clone(), |_| Scalar::from_i64(seed as i64, ty.dtype)),
            fill => fill.put(ty, (seed, name), ty).expect("given values and seeds have been dealt with"),
        }
    }

    /// Writes that value where the state itself stands, if it is made of `f32` one by one: no copy of it is made.
    pub(crate) fn write(&self, ty: &TensorType, (seed, name): (u64, &str), state: &mut [f32]) -> bool {
        self.fill(ty).put(ty, (seed, name), state).is_some()
    }
}

impl Fill<'_> {
    /// Puts the elements for a state of type `ty`; `None` for given ones and seeds, which are not made.
    fn put<P: Fillable>(&self, ty: &TensorType, (seed, name): (u64, &str), to: P) -> Option<P::Filled> {
        Some(match *self {
            Self::Blocks(values) => {
                let extent = ty.shape.last().copied().unwrap_or(1);
                to.fill(|i| values[i as usize % extent * values.len() / extent])
            }
            Self::Sample(sample) => {
                let stream = stream_of(seed, name);
                let (of, mut e) = (|draw| Sample { draw, ..sample }, HostEvaluator::default());
                // A loop for each, so that what is drawn isn't asked at every element.
                match sample.draw {
                    Draw::Uniform => to.fill(|i| of(Draw::Uniform).value(&mut e, stream, i)),
                    Draw::Normal => to.fill(|i| of(Draw::Normal).value(&mut e, stream, i)),
                    Draw::TruncatedNormal => to.fill(|i| of(Draw::TruncatedNormal).value(&mut e, stream, i)),
                }
            }
            Self::Orthogonal { gain, rows, cols } => {
                let matrix = orthogonal_matrix(stream_of(seed, name), rows, cols);
                to.fill(|i| gain * matrix[i as usize])
            }
            Self::Given(_) | Self::Seed => return None,
        })
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
        let floats = ty.with_dtype(DType::F32);
        assert!(orthogonal().check(&floats).is_err());
        assert!(normal(0.0, 1.0).check(&floats).is_ok());
        for endless in [normal(f64::NAN, 1.0), uniform(-f64::MAX, f64::MAX), truncated_normal(0.0, f64::INFINITY)] {
            assert!(endless.check(&floats).is_err(), "{endless:?}");
        }
    }
}
