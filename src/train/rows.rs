//! Outputs of batches: their first rows, and one after the other.

use super::TrainError;
use ir::{Data, Shape, TensorType, Value};

/// Batches of outputs, one after the other along the first axis.
pub(super) fn concatenate(parts: &[Value]) -> Result<Value, TrainError> {
    let wrong =
        |e: &dyn std::fmt::Display| TrainError::Setting(format!("outputs of batches can't be put together: {e}"));
    let first = parts.first().ok_or_else(|| wrong(&"there are none"))?;
    let rows = parts.iter().map(|part| part.ty().shape.first().copied().unwrap_or(1)).sum();
    let dims = [&[rows], first.ty().shape.get(1..).unwrap_or_default()].concat();
    let shape = Shape::new(&dims).map_err(|e| wrong(&e))?;
    macro_rules! joined {
        ($($variant:ident),*) => {
            match first.data() {
                $(Data::$variant(_) => {
                    let mut all = Vec::with_capacity(shape.numel());
                    for part in parts {
                        if let Data::$variant(elements) = part.data() {
                            all.extend_from_slice(elements);
                        }
                    }
                    Data::$variant(all)
                })*
            }
        };
    }
    let data = joined!(F32, F64, Bf16, F16, I64, I32, I16, I8, U64, U32, U16, U8, Bool);
    Value::new(TensorType::new(first.ty().dtype, shape), data).map_err(|e| wrong(&e))
}

/// The first rows of a batch of outputs.
pub(super) fn first_rows(value: Value, rows: usize) -> Result<Value, TrainError> {
    if value.ty().shape.first() == Some(&rows) {
        return Ok(value);
    }
    let wrong =
        |e: &dyn std::fmt::Display| TrainError::Setting(format!("the first {rows} rows of {}: {e}", value.ty()));
    let dims = [&[rows], value.ty().shape.get(1..).unwrap_or_default()].concat();
    let shape = Shape::new(&dims).map_err(|e| wrong(&e))?;
    let data = value.data().range(0..shape.numel());
    Value::new(value.ty().with_shape(shape), data).map_err(|e| wrong(&e))
}

#[cfg(test)]
mod tests {
    use crate::data::{ArrayView, array};
    use crate::dsl::f32;
    use crate::prelude::*;

    fn points(n: usize) -> Dataset {
        let x = array([n, 1], (0..n).map(|i| i as f32 / 40.0 - 0.4).collect()).unwrap();
        Dataset::new(x, array([n], (0..n).map(|i| i32::from(i % 3 == 0)).collect()).unwrap()).unwrap()
    }

    fn programs(trainer: &Trainer, purpose: &str) -> usize {
        trainer.reports().iter().filter(|(of, _, _)| of == purpose).count()
    }

    /// By a few programs, with the predictor's bits, and what each sample gives by itself.
    #[test]
    fn data_of_any_length_are_predicted_by_a_few_programs() {
        let model = Sequential::new([1]).dense(4).tanh().dense(2);
        let trainer = model.compile(Adam::new(0.1), SparseCategoricalCrossEntropy, []).unwrap();
        let mut trainer = trainer.with_batch(16).unwrap();
        let (predictor, all) = (trainer.predictor().unwrap(), trainer.predict(&points(40)).unwrap().to_f64_vec());
        for n in 1..=40 {
            let logits = trainer.predict(&points(n)).unwrap();
            assert_eq!(logits.ty().shape[..], [n, 2]);
            assert_eq!(logits, predictor.predict(&points(n)).unwrap());
            assert!(logits.to_f64_vec().iter().zip(&all).all(|(a, b)| (a - b).abs() < 1e-6), "{n}");
        }
        assert_eq!(programs(&trainer, "inference"), 5, "of 1, 2, 4, 8 and 16 samples");
    }

    /// An output that has no row for each sample is that of the very samples, and can't be had from a predictor.
    #[test]
    fn outputs_without_rows_are_computed_of_the_samples_alone() {
        let model = Functional::new(f32([1]), |x| Dense::new(1).apply(x).sum_axes([0]).reshape([1, 1]));
        let trainer = model.compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
        let mut trainer = trainer.with_batch(8).unwrap();
        trainer.state_mut::<f32>("dense/kernel").unwrap().fill(1.0);
        let x = array([3, 1], vec![1.0f32, 2.0, 4.0]).unwrap();
        assert_eq!(trainer.predict(&Dataset::unlabelled(x).unwrap()).unwrap().to_f64_vec(), [7.0]);
        assert!(trainer.predictor().unwrap_err().to_string().contains("has no row for each of 8 samples"));
        let none: [(&str, ArrayView<'_>); 0] = [];
        assert!(trainer.predict_step(&none).is_err());
    }
}
