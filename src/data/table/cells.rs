//! The cells of one column.

/// A column of a table.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    /// NaN is missing.
    Numbers(Vec<f64>),
    Texts(Texts),
}

/// Texts, one behind the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    all: String,
    /// Where each ends, and whether it is missing.
    ends: Vec<(usize, bool)>,
}

impl Texts {
    pub(super) fn push(&mut self, text: Option<&str>) {
        self.all.push_str(text.unwrap_or_default());
        self.ends.push((self.all.len(), text.is_none()));
    }

    pub(super) fn get(&self, row: usize) -> Option<&str> {
        let start = if row == 0 { 0 } else { self.ends[row - 1].0 };
        let (end, missing) = self.ends[row];
        (!missing).then(|| &self.all[start..end])
    }
}

impl Cells {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.ends.len(),
        }
    }

    pub(super) fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(rows.iter().map(|row| numbers[*row]).collect()),
            Self::Texts(texts) => {
                let mut selected = Texts::default();
                rows.iter().for_each(|row| selected.push(texts.get(*row)));
                Self::Texts(selected)
            }
        }
    }

    /// The cells, of which none are left.
    pub(super) fn take(&mut self) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(std::mem::take(numbers)),
            Self::Texts(texts) => Self::Texts(std::mem::take(texts)),
        }
    }
}
