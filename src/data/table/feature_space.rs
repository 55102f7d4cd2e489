//! What a model gets of a table: which columns, and how.

/// What stands for a number that is missing.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub enum Impute {
    /// The mean of the training rows' numbers.
    #[default]
    Mean,
    /// Their median; of an even number the mean of the two in the middle.
    Median,
    /// This number.
    Constant(f64),
}

/// Which columns of a table a model gets, and how; [`fit`](FeatureSpace::fit) learns from training rows what that takes.
///
/// ```
/// use gradc::data::{FeatureSpace, Table};
/// let people = Table::new()
///     .numbers("age", [Some(20.0), None, Some(40.0)])?
///     .texts("city", [Some("Rome"), Some("Oslo"), None])?
///     .texts("bought", [Some("no"), Some("yes"), Some("no")])?;
/// let features = FeatureSpace::new().numbers(["age"]).categories(["city"]).target("bought").fit(&people)?;
/// let data = features.apply(&people)?;
/// // The age, standardized; Oslo, Rome, missing.
/// assert_eq!(data.value("x")?.to_f64_vec(), [-1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
/// assert_eq!((features.width(), features.classes().join(", ")), (4, "no, yes".to_string()));
/// # Ok::<(), gradc::data::DataError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FeatureSpace {
    pub(super) numbers: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) embedded: Vec<String>,
    pub(super) impute: Impute,
    pub(super) indicate: bool,
    pub(super) raw: bool,
    pub(super) target: Option<(String, bool)>,
    pub(super) weights: Option<String>,
}

fn extend<N: Into<String>>(list: &mut Vec<String>, names: impl IntoIterator<Item = N>) {
    list.extend(names.into_iter().map(Into::into));
}

impl FeatureSpace {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Columns of numbers: each is one element of the input `x`, less the mean of the training rows, over their standard deviation.
    pub fn numbers<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        extend(&mut self.numbers, names);
        self
    }

    /// Columns of categories: each is as many elements of the input `x` as the training rows have categories, after the numbers; 1 for the row's category, 0 for others. Missing
    /// is a category if a training row has it. A category that no training row has is 0 everywhere.
    pub fn categories<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        extend(&mut self.categories, names);
        self
    }

    /// Columns of categories for layers [`Embedding`](crate::nn::Embedding): each is an input of its own name, `i32[]`: 0 for a category that no training row has, else 1
    /// and more. [`Preprocessing::cardinality`](super::Preprocessing::cardinality) is how many there are.
    pub fn embedded<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        extend(&mut self.embedded, names);
        self
    }

    /// What stands for missing numbers; without this call the mean.
    pub fn impute(mut self, impute: Impute) -> Self {
        self.impute = impute;
        self
    }

    /// Whether each column of numbers of which a training row is missing has an element more, which is 1 where it is. By default it hasn't.
    pub fn missing_indicators(mut self, indicate: bool) -> Self {
        self.indicate = indicate;
        self
    }

    /// Whether numbers are standardized, as by default they are.
    pub fn standardize(mut self, standardize: bool) -> Self {
        self.raw = !standardize;
        self
    }

    /// The column of classes to predict: `y` is `i32[]`. Each distinct text is a class, numbered in ascending order (as numbers if all are integers, else as text).
    pub fn target(mut self, name: impl Into<String>) -> Self {
        self.target = Some((name.into(), false));
        self
    }

    /// The column of numbers to predict: `y` is `f32[1]`, like the output of a dense layer of one unit. It isn't standardized.
    pub fn numeric_target(mut self, name: impl Into<String>) -> Self {
        self.target = Some((name.into(), true));
        self
    }

    /// The column of what each row counts, `sample_weight`.
    pub fn weights(mut self, name: impl Into<String>) -> Self {
        self.weights = Some(name.into());
        self
    }
}
