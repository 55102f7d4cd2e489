//! The confusion matrix, and the scores of classes that are made of it.

use std::fmt;

/// How scores of classes become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Average {
    /// The score of yes, of a binary output; of two classes that of class 1.
    Binary,
    /// The mean of the classes' scores. Classes that neither are among the targets nor are predicted are left out.
    Macro,
    /// The score of all decisions taken together.
    Micro,
    /// The mean of the classes' scores, each times how often the class is a target.
    Weighted,
    /// The score of this class, from 0.
    Class(usize),
}

/// How often samples of each class were predicted as each, weighted with what they count. Prints as a table.
///
/// ```
/// use gradc::nn::metric::{Average, ConfusionMatrix};
/// let matrix = ConfusionMatrix::new(2, vec![8.0, 2.0, 1.0, 9.0]).unwrap();
/// assert_eq!(matrix.get(0, 1), 2.0);
/// assert_eq!(matrix.recall(Average::Class(1)), 0.9);
/// assert_eq!(matrix.to_string(), "actual \\ predicted    0    1\n                 0    8    2\n                 1    1    9");
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<f64>,
}

/// Of one class, or of several together: what was predicted rightly, what was predicted, what it was.
#[derive(Clone, Copy, Default)]
struct Counts {
    hits: f64,
    predicted: f64,
    actual: f64,
}

/// A score of counts; 0 where nothing was predicted, or none was there.
type CountScore = fn(Counts) -> f64;

fn quotient(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

impl ConfusionMatrix {
    /// Of its rows, which are of actual classes, one after the other; `None` if these aren't `classes` rows of `classes` numbers.
    pub fn new(classes: usize, counts: Vec<f64>) -> Option<Self> {
        (classes > 0 && classes.checked_mul(classes) == Some(counts.len())).then_some(Self { classes, counts })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How often samples of class `actual` were predicted as `predicted`; 0 for what is no class.
    pub fn get(&self, actual: usize, predicted: usize) -> f64 {
        let row = self.counts.chunks(self.classes).nth(actual);
        row.and_then(|row| row.get(predicted)).copied().unwrap_or(0.0)
    }

    /// The rows, of actual classes.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.counts.chunks(self.classes)
    }

    /// The sum of all.
    pub fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// The share of right answers.
    pub fn accuracy(&self) -> f64 {
        let hits: f64 = (0..self.classes).map(|class| self.get(class, class)).sum();
        quotient(hits, self.total())
    }

    /// Of what was predicted, the share that was right.
    pub fn precision(&self, average: Average) -> f64 {
        self.score(average, |c| quotient(c.hits, c.predicted))
    }

    /// Of what was there, the share that was predicted.
    pub fn recall(&self, average: Average) -> f64 {
        self.score(average, |c| quotient(c.hits, c.actual))
    }

    /// The harmonic mean of precision and recall, class by class.
    pub fn f1(&self, average: Average) -> f64 {
        self.score(average, |c| quotient(2.0 * c.hits, c.predicted + c.actual))
    }

    /// Intersection over union.
    pub fn iou(&self, average: Average) -> f64 {
        self.score(average, |c| quotient(c.hits, c.predicted + c.actual - c.hits))
    }

    fn counts(&self, class: usize) -> Counts {
        let predicted = (0..self.classes).map(|actual| self.get(actual, class)).sum();
        let actual = (0..self.classes).map(|predicted| self.get(class, predicted)).sum();
        Counts { hits: self.get(class, class), predicted, actual }
    }

    fn score(&self, average: Average, score: CountScore) -> f64 {
        let all = (0..self.classes).map(|class| self.counts(class));
        let mean = |weight: fn(Counts) -> f64| {
            let (sum, whole) = all.clone().fold((0.0, 0.0), |(sum, whole), counts| {
                (sum + weight(counts) * score(counts), whole + weight(counts))
            });
            quotient(sum, whole)
        };
        match average {
            Average::Binary => score(self.counts(1)),
            Average::Class(class) => score(self.counts(class)),
            Average::Macro => mean(|c| f64::from(u8::from(c.predicted + c.actual > 0.0))),
            Average::Weighted => mean(|c| c.actual),
            Average::Micro => {
                let hits = all.map(|c| c.hits).sum();
                score(Counts { hits, predicted: self.total(), actual: self.total() })
            }
        }
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CORNER: &str = "actual \\ predicted";
        let shown = |count: f64| if count.fract() == 0.0 { format!("{count:.0}") } else { format!("{count:.2}") };
        let names = (0..self.classes).map(|class| class.to_string());
        let width = self.counts.iter().map(|&c| shown(c)).chain(names).map(|text| text.len()).max().unwrap_or(1).max(4);
        f.write_str(CORNER)?;
        (0..self.classes).try_for_each(|class| write!(f, " {class:>width$}"))?;
        for (class, row) in self.rows().enumerate() {
            write!(f, "\n{class:>corner$}", corner = CORNER.len())?;
            row.iter().try_for_each(|&count| write!(f, " {:>width$}", shown(count)))?;
        }
        Ok(())
    }
}
