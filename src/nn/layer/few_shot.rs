//! Heads that need no training: classes told apart by a few samples' vectors, as a pretrained body gives them.

use super::{Layer, LayerId, UnitNorm};
use crate::dsl::Tensor;
use ir::{DType, Scalar, Shape, TensorType, Value};

/// Why a head can't be made of samples.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FewShotError {
    /// The vectors are none.
    #[error(
        "the samples' vectors must be [samples, features] of floats, with a label for each of {labels}: they are {found}"
    )]
    Vectors {
        /// Their type.
        found: TensorType,
        /// How many labels there are.
        labels: usize,
    },
    /// A label that is no class.
    #[error("sample {sample} has the label {label}, but there are {classes} classes")]
    Label {
        /// Which sample, from 0.
        sample: usize,
        /// Its label.
        label: i32,
        /// How many classes there are.
        classes: usize,
    },
    /// A class without a sample.
    #[error("class {class} has no sample")]
    Empty {
        /// The class.
        class: usize,
    },
    /// More neighbours than samples, or none.
    #[error("{neighbours} neighbours of {samples} samples")]
    Neighbours {
        /// How many were asked for.
        neighbours: usize,
        /// How many samples there are.
        samples: usize,
    },
}

/// How many samples each class has, once vectors and labels are what they should be.
fn counts(vectors: &Value, labels: &[i32], classes: usize) -> Result<Vec<usize>, FewShotError> {
    let ty = vectors.ty();
    if ty.shape.rank() != 2 || !ty.dtype.is_float() || ty.shape[0] != labels.len() {
        return Err(FewShotError::Vectors { found: ty.clone(), labels: labels.len() });
    }
    let mut counts = vec![0; classes];
    for (sample, &label) in labels.iter().enumerate() {
        let count = usize::try_from(label).ok().and_then(|class| counts.get_mut(class));
        *count.ok_or(FewShotError::Label { sample, label, classes })? += 1;
    }
    match counts.iter().position(|count| *count == 0) {
        Some(class) => Err(FewShotError::Empty { class }),
        None => Ok(counts),
    }
}

/// A matrix of `f32`.
fn matrix(rows: usize, columns: usize, at: impl Fn(usize) -> f64) -> Value {
    let shape = Shape::new([rows, columns]).unwrap_or_default();
    Value::from_fn(TensorType::new(DType::F32, shape), |i| Scalar::from_f64(at(i), DType::F32))
}

/// A tensor `[batch, features]` in `f32`, if the head can take it.
#[track_caller]
fn rows(x: &Tensor, name: &str, features: usize) -> Result<Tensor, Tensor> {
    let Some(ty) = x.ty() else { return Err(x.clone()) };
    match ty.dtype.is_float() && ty.shape.rank() == 2 && ty.shape[1] == features {
        true => Ok(x.cast(DType::F32)),
        false => Err(x.fail(name, format!("the samples had {features} features, the input is {ty}"))),
    }
}

/// Each class is the mean of its samples' vectors, and a vector is of the class that is nearest (Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", arXiv
/// 1703.05175): `[batch, features]` to `[batch, classes]`, the squared distances' negatives, which are logits. Nothing is trained.
///
/// ```
/// use gradc::nn::Prototypes;
/// use gradc::prelude::*;
/// let vectors = array([3, 2], vec![1.0f32, 0.0, 3.0, 0.0, 0.0, 4.0])?;
/// let model = Sequential::new([2]).add(Prototypes::of(&vectors, &[0, 0, 1], 2)?);
/// let mut program = model.inference_graph(1)?.compile(&CompileOptions::default())?;
/// let logits = program.run([("x", &array([1, 2], vec![0.0f32, 0.0])?)])?;
/// assert_eq!(logits["output"].to_f64_vec(), [-4.0, -16.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prototypes {
    means: Value,
    id: LayerId,
}

impl Prototypes {
    /// Of samples' vectors `[samples, features]` and their classes; each class has at least one.
    ///
    /// # Errors
    /// Vectors that are none, a label that is no class, a class without a sample.
    pub fn of(vectors: &Value, labels: &[i32], classes: usize) -> Result<Self, FewShotError> {
        let counts = counts(vectors, labels, classes)?;
        let features = vectors.ty().shape[1];
        let mut sums = vec![0.0; classes * features];
        for (sample, &label) in labels.iter().enumerate() {
            let class = label as usize * features;
            (0..features).for_each(|i| sums[class + i] += vectors.get(sample * features + i).as_f64());
        }
        let means = matrix(classes, features, |i| sums[i] / counts[i / features] as f64);
        Ok(Self { means, id: LayerId::new() })
    }
}

impl Layer for Prototypes {
    fn base(&self) -> &str {
        "prototypes"
    }

    fn kind(&self) -> &str {
        "Prototypes"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let x = match rows(x, name, self.means.ty().shape[1]) {
            Ok(x) => x,
            Err(poisoned) => return poisoned,
        };
        let means = x.builder().constant(self.means.clone());
        let squares = means.square().sum_axes([-1]).unsqueeze(0);
        x.matmul(means.transpose()) * 2.0 - squares - x.square().sum_keepdims([-1])
    }
}

/// A vector is of the class that most of the samples are of whose directions are nearest (Cover and Hart, "Nearest Neighbor Pattern Classification", IEEE Transactions on Information
/// Theory 13, 1967): `[batch, features]` to `[batch, classes]`, the shares of the votes. Samples that are as near as the last neighbour vote too. Nothing is trained.
#[derive(Clone, Debug)]
pub struct NearestNeighbours {
    vectors: Value,
    votes: Value,
    neighbours: usize,
    id: LayerId,
}

impl NearestNeighbours {
    /// Of samples' vectors `[samples, features]` and their classes, by so many neighbours.
    ///
    /// # Errors
    /// As [`Prototypes::of`]; more neighbours than samples, or none.
    pub fn of(vectors: &Value, labels: &[i32], classes: usize, neighbours: usize) -> Result<Self, FewShotError> {
        counts(vectors, labels, classes)?;
        let (samples, features) = (labels.len(), vectors.ty().shape[1]);
        if neighbours == 0 || neighbours > samples {
            return Err(FewShotError::Neighbours { neighbours, samples });
        }
        let votes = matrix(samples, classes, |i| f64::from(u8::from(labels[i / classes] as usize == i % classes)));
        let vectors = matrix(samples, features, |i| vectors.get(i).as_f64());
        Ok(Self { vectors, votes, neighbours, id: LayerId::new() })
    }
}

impl Layer for NearestNeighbours {
    fn base(&self) -> &str {
        "nearest_neighbours"
    }

    fn kind(&self) -> &str {
        "NearestNeighbours"
    }

    fn id(&self) -> Option<&LayerId> {
        Some(&self.id)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        let x = match rows(x, name, self.vectors.ty().shape[1]) {
            Ok(x) => x,
            Err(poisoned) => return poisoned,
        };
        let g = x.builder();
        let unit = |x: &Tensor| UnitNorm.call(x, name);
        let alike = unit(&x).matmul(unit(&g.constant(self.vectors.clone())).transpose());
        let (nearest, _) = alike.top_k(self.neighbours, -1);
        let last = nearest.slice_axis(1, self.neighbours - 1..self.neighbours);
        let votes = alike.ge(&last).cast(DType::F32).matmul(g.constant(self.votes.clone()));
        &votes / votes.sum_keepdims([-1])
    }
}

#[cfg(test)]
mod tests;
