//! Single states of a trainer, read and written by name: a layer's kernel, an optimizer's moment, a running mean.

use super::{TrainError, Trainer};
use ir::Value;
use runtime::Element;
use std::collections::BTreeMap;

/// At most so many names are told to who asked for one that there isn't.
const TOLD: usize = 3;

impl Trainer {
    /// The elements of a state, where they are: a weight `dense/kernel`, a moment `adam/m/dense/kernel`, a running mean. 16-bit floats are `u16`, their bits; truth values are `u8`.
    ///
    /// ```
    /// use gradc::prelude::*;
    /// let mut trainer = Sequential::new([2]).dense(3).compile(Adam::default(), MeanSquaredError, [])?;
    /// trainer.state_mut::<f32>("dense/bias")?[1] = 0.5;
    /// assert_eq!(trainer.state::<f32>("dense/bias")?, [0.0, 0.5, 0.0]);
    /// let error = trainer.state::<f32>("dense/kernal").unwrap_err().to_string();
    /// assert!(error.starts_with("the model has no state `dense/kernal`; near it are `dense/kernel`, `dense/bias`"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A name that is no state, [`TrainError::State`] with those near it; elements that are no `T`.
    pub fn state<T: Element>(&mut self, name: &str) -> Result<&[T], TrainError> {
        self.programs.check_name(name)?;
        Ok(self.programs.block()?.get(name)?)
    }

    /// The same, to write in place: the next step reads what is there then.
    ///
    /// # Errors
    /// As [`Trainer::state`], and truth values, which [`Trainer::set_state`] writes.
    pub fn state_mut<T: Element>(&mut self, name: &str) -> Result<&mut [T], TrainError> {
        self.programs.check_name(name)?;
        Ok(self.programs.block_mut()?.get_mut(name)?)
    }

    /// A state as a tensor of its own.
    ///
    /// # Errors
    /// A name that is no state: [`TrainError::State`] with those near it.
    pub fn state_value(&mut self, name: &str) -> Result<Value, TrainError> {
        self.programs.check_name(name)?;
        self.programs.state(name)?.ok_or_else(|| TrainError::State { name: name.into(), near: vec![] })
    }

    /// Copies a tensor into a state.
    ///
    /// # Errors
    /// As [`Trainer::state_value`], and a tensor of another shape or element type.
    pub fn set_state(&mut self, name: &str, value: Value) -> Result<(), TrainError> {
        self.programs.set_states(BTreeMap::from([(name.to_string(), value)]))
    }
}

/// The names that differ least from `name`, of those that share at least half of it.
pub(super) fn near<'n>(name: &str, known: impl Iterator<Item = &'n String>) -> Vec<String> {
    let distances = known.map(|known| (distance(name.as_bytes(), known.as_bytes()), known));
    let mut all: Vec<(usize, &String)> =
        distances.filter(|(distance, known)| 2 * distance <= name.len().max(known.len()) + 2).collect();
    all.sort();
    all.into_iter().take(TOLD).map(|(_, name)| name.clone()).collect()
}

/// How many bytes have to be put in, left out or changed (Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals", 1966).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::array;
    use crate::prelude::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, wanted) in [("", "abc", 3), ("kitten", "sitting", 3), ("bias", "bias", 0), ("ab", "ba", 2)] {
            assert_eq!((distance(a.as_bytes(), b.as_bytes()), distance(b.as_bytes(), a.as_bytes())), (wanted, wanted));
        }
    }

    /// What is written is what the next step reads, whichever program has the states.
    #[test]
    fn states_are_read_and_written_where_they_are() {
        let data = Dataset::new(array([4, 1], vec![1.0f32; 4]).unwrap(), array([4, 1], vec![3.0f32; 4]).unwrap());
        let data = data.unwrap();
        let mut trainer = Sequential::new([1]).dense(1).compile(Adam::new(0.1), MeanSquaredError, []).unwrap();
        trainer.state_mut::<f32>("dense/kernel").unwrap().fill(2.0);
        trainer.set_state("dense/bias", array([1], vec![1.0f32]).unwrap()).unwrap();
        assert_eq!(trainer.evaluate(&data).unwrap().loss, 0.0);
        trainer.state_mut::<f32>("dense/bias").unwrap()[0] = 3.0;
        assert_eq!(trainer.evaluate(&data).unwrap().loss, 4.0);
        trainer.train_step(&data).unwrap();
        assert_ne!(trainer.state::<f32>("adam/m/dense/bias").unwrap(), [0.0]);
        let bias = trainer.state::<f32>("dense/bias").unwrap()[0];
        assert_eq!(trainer.state_value("dense/bias").unwrap().to_f64_vec(), [f64::from(bias)]);
    }

    #[test]
    fn what_is_no_state_and_what_does_not_fit_is_told() {
        let mut trainer = Sequential::new([2]).dense(3).compile(Sgd::new(0.1), MeanSquaredError, []).unwrap();
        let near = |error: TrainError| match error {
            TrainError::State { near, .. } => near,
            other => panic!("{other}"),
        };
        assert_eq!(near(trainer.state::<f32>("dense/kernl").unwrap_err()), ["dense/kernel", "dense/bias"]);
        assert_eq!(near(trainer.state_mut::<f32>("dense.bias").unwrap_err())[0], "dense/bias");
        assert!(near(trainer.state_value("something else altogether").unwrap_err()).is_empty());
        let message = |error: TrainError| error.to_string();
        assert!(message(trainer.state::<f64>("dense/bias").unwrap_err()).contains("has elements of f32, not f64"));
        let wrong = trainer.set_state("dense/bias", array([2], vec![0.0f32; 2]).unwrap());
        assert_eq!(message(wrong.unwrap_err()), "`dense/bias` is f32[3], not f32[2]");
        assert!(matches!(
            trainer.set_state("dense/bia", array([3], vec![0.0f32; 3]).unwrap()),
            Err(TrainError::State { .. })
        ));
    }
}
