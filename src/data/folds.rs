//! Parts of a data set to train on and to judge by: stratified splits, folds of cross-validation, weights that balance classes.

use super::shuffle::permutation;
use super::{DataError, Dataset};
use crate::model::TARGET;
use std::collections::BTreeMap;

impl Dataset {
    /// `k` pairs of training and test data: each sample is in the test data of exactly one. The seed alone decides which; sizes differ by at most 1.
    ///
    /// ```
    /// use gradc::data::{Dataset, array};
    /// let data = Dataset::new(array([5, 1], vec![0.0f32; 5])?, array([5], vec![0i32, 1, 0, 1, 0])?)?;
    /// let sizes: Vec<_> = data.k_folds(2, 7)?.iter().map(|(train, test)| (train.len(), test.len())).collect();
    /// assert_eq!(sizes, [(2, 3), (3, 2)]);
    /// # Ok::<(), gradc::data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// If `k` is below 2 or above the number of samples.
    pub fn k_folds(&self, k: usize, seed: u64) -> Result<Vec<(Self, Self)>, DataError> {
        self.folds_of(&permutation(self.len(), seed, 0), k)
    }

    /// The same with the classes in each test part as frequent as in the whole, as near as whole samples allow. The column `y` holds a sample's class, as a
    /// number or one-hot.
    ///
    /// # Errors
    /// As [`Dataset::k_folds`], and if `y` holds no classes, or one of them has fewer than `k` samples.
    pub fn stratified_k_folds(&self, k: usize, seed: u64) -> Result<Vec<(Self, Self)>, DataError> {
        let classes = self.by_class(TARGET, seed)?;
        if let Some((class, places)) = classes.iter().find(|(_, places)| places.len() < k) {
            let what = format!("class {class} has {} samples: too few for {k} folds", places.len());
            return Err(DataError::Dataset(what));
        }
        // One class after the other: dealt out in turn, each fold gets its share of each class.
        let order: Vec<usize> = classes.into_values().flatten().collect();
        self.folds_of(&order, k)
    }

    /// All but a `fraction` of the samples, and those, with the classes in both as frequent as in the whole, as near as whole samples allow: a class of `n` samples
    /// gives `n * fraction` of them, rounded, and at least one of two or more. Each part is in the data set's order.
    ///
    /// # Errors
    /// If the fraction isn't between 0 and 1, `y` holds no classes, or one of the two parts would be empty.
    pub fn stratified_split(&self, fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        check_fraction(fraction)?;
        let mut test = vec![false; self.len()];
        for places in self.by_class(TARGET, seed)?.into_values() {
            let n = places.len();
            let count = ((n as f64 * fraction).round() as usize).clamp(usize::from(n > 1), n - usize::from(n > 1));
            places[..count].iter().for_each(|place| test[*place] = true);
        }
        self.parted(&test)
    }

    /// What a sample of each class counts so that all classes count alike: `samples / (classes * samples of the class)`, as scikit-learn's `balanced`. For
    /// [`Fit::class_weight`](crate::train::Fit::class_weight).
    ///
    /// # Errors
    /// If the column `y` holds no classes.
    pub fn balanced_weights(&self) -> Result<Vec<(usize, f64)>, DataError> {
        self.balanced_weights_of(TARGET)
    }

    /// The same for the classes in another column, for [`Fit::class_weight_of`](crate::train::Fit::class_weight_of).
    ///
    /// # Errors
    /// If the column isn't there, or holds no classes.
    pub fn balanced_weights_of(&self, column: &str) -> Result<Vec<(usize, f64)>, DataError> {
        let classes = self.by_class(column, 0)?;
        let share = self.len() as f64 / classes.len() as f64;
        Ok(classes.into_iter().map(|(class, places)| (class, share / places.len() as f64)).collect())
    }

    /// The places of each class's samples, in a random order.
    fn by_class(&self, name: &str, seed: u64) -> Result<BTreeMap<usize, Vec<usize>>, DataError> {
        let column = self.required(name)?;
        let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for place in permutation(self.len(), seed, 0) {
            let class = column.class(name, self.row(place), place).map_err(DataError::Dataset)?;
            classes.entry(class).or_default().push(place);
        }
        Ok(classes)
    }

    /// Deals the places out to `k` test parts.
    fn folds_of(&self, order: &[usize], k: usize) -> Result<Vec<(Self, Self)>, DataError> {
        if k < 2 || k > self.len() {
            let rule = format!("{k} folds of {} samples: at least 2 and at most one a sample are possible", self.len());
            return Err(DataError::Dataset(rule));
        }
        let fold = |fold: usize| {
            let mut test = vec![false; self.len()];
            order.iter().skip(fold).step_by(k).for_each(|place| test[*place] = true);
            self.parted(&test)
        };
        (0..k).map(fold).collect()
    }

    /// The samples that aren't marked, and those that are.
    fn parted(&self, marked: &[bool]) -> Result<(Self, Self), DataError> {
        let places = |want: bool| (0..marked.len()).filter(|place| marked[*place] == want).collect::<Vec<_>>();
        Ok((self.select(&places(false))?, self.select(&places(true))?))
    }
}

/// Refuses a part that isn't one.
pub(super) fn check_fraction(fraction: f64) -> Result<(), DataError> {
    if fraction > 0.0 && fraction < 1.0 {
        return Ok(());
    }
    Err(DataError::Dataset(format!("a part of {fraction}: it must lie between 0 and 1")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, array};

    /// 24 samples of class 0, 9 of class 1, 3 of class 2.
    fn uneven() -> Dataset {
        let labels: Vec<i32> = (0..36).map(|i| if i % 12 == 5 { 2 } else { i32::from(i % 4 == 0) }).collect();
        let x = (0..36).map(|i| i as f32).collect();
        Dataset::new(array([36, 1], x).unwrap(), array([36], labels).unwrap()).unwrap()
    }

    fn counts(data: &Dataset) -> [usize; 3] {
        let mut counts = [0; 3];
        data.value("y").unwrap().to_f64_vec().iter().for_each(|class| counts[*class as usize] += 1);
        counts
    }

    fn numbers(data: &Dataset) -> Vec<usize> {
        data.value("x").unwrap().to_f64_vec().iter().map(|x| *x as usize).collect()
    }

    #[test]
    fn each_sample_is_tested_once() {
        let data = uneven();
        assert_eq!(counts(&data), [24, 9, 3]);
        for folds in [data.k_folds(5, 1).unwrap(), data.stratified_k_folds(3, 1).unwrap()] {
            let mut tested: Vec<usize> = folds.iter().flat_map(|(_, test)| numbers(test)).collect();
            tested.sort_unstable();
            assert!(tested.into_iter().eq(0..36));
            for (train, test) in &folds {
                let mut all = [numbers(train), numbers(test)].concat();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..36));
            }
        }
        let tests = |seed| data.k_folds(2, seed).unwrap().iter().map(|(_, test)| numbers(test)).collect::<Vec<_>>();
        assert!(tests(1) == tests(1) && tests(1) != tests(2));
        assert!(data.k_folds(1, 0).is_err() && data.k_folds(37, 0).is_err());
    }

    #[test]
    fn stratified_parts_have_the_classes_of_the_whole() {
        for (train, test) in uneven().stratified_k_folds(3, 5).unwrap() {
            assert_eq!((counts(&train), counts(&test)), ([16, 6, 2], [8, 3, 1]));
        }
        let (train, test) = uneven().stratified_split(1.0 / 3.0, 5).unwrap();
        assert_eq!((counts(&train), counts(&test)), ([16, 6, 2], [8, 3, 1]));
        // A class is never lost from the smaller part as long as it has two samples.
        assert_eq!(counts(&uneven().stratified_split(0.1, 5).unwrap().1), [2, 1, 1]);
        assert!(uneven().stratified_k_folds(4, 0).unwrap_err().to_string().contains("class 2 has 3 samples"));
        let hot = (0..36).flat_map(|i| if i % 3 == 0 { [0.0f32, 1.0] } else { [1.0, 0.0] }).collect();
        let data = uneven().with("y", Column::new(array([36, 2], hot).unwrap()).unwrap()).unwrap();
        let classes = |data: &Dataset| data.by_class(TARGET, 0).unwrap()[&1].len();
        assert_eq!(classes(&data.stratified_split(0.25, 5).unwrap().1), 3);
        let prices = array([36], vec![0.5f32; 36]).unwrap();
        let data = uneven().with("y", Column::new(prices).unwrap()).unwrap();
        assert!(data.stratified_split(0.25, 5).unwrap_err().to_string().contains("neither one class nor one-hot"));
    }

    #[test]
    fn balanced_classes_count_alike() {
        let weights = uneven().balanced_weights().unwrap();
        assert_eq!(weights, [(0, 0.5), (1, 36.0 / 27.0), (2, 4.0)]);
    }
}
