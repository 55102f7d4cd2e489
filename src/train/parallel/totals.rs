//! What processes have measured, together.

use crate::nn::metric::Accumulate;
use crate::parallel::{Communicator, gather_blocks};
use crate::train::TrainError;
use crate::train::evaluation::{MetricTotals, Totals, add_to};
use crate::train::rows::concatenate;
use ir::{Data, Shape, Value};

/// Sums that are floats, one after the other.
fn doubles(value: Option<&mut Value>) -> &mut [f64] {
    match value.map(Value::data_mut) {
        Some(Data::F64(sums)) => sums,
        _ => &mut [],
    }
}

impl Totals {
    /// These become the totals of all processes' samples. A process whose step `counts` nothing gives the forms of its statistics alone. All call it after as many steps.
    pub(in crate::train) fn sum_over_processes(
        &mut self,
        counts: bool,
        communicator: &dyn Communicator,
    ) -> Result<(), TrainError> {
        if !counts {
            self.count_nothing();
        }
        let mut sums = vec![self.loss, self.weight, self.samples as f64];
        sums.extend(self.output_losses.iter().map(|(_, sum)| *sum));
        for metric in &mut self.metrics {
            metric.sums.iter_mut().for_each(|sum| sums.extend_from_slice(doubles(sum.as_mut())));
        }
        communicator.all_reduce_f64(&mut sums)?;
        let mut sums = sums.into_iter();
        let mut next = || sums.next().unwrap_or(f64::NAN);
        (self.loss, self.weight, self.samples) = (next(), next(), next() as usize);
        self.output_losses.iter_mut().for_each(|(_, sum)| *sum = next());
        for metric in &mut self.metrics {
            metric.sums.iter_mut().for_each(|sum| doubles(sum.as_mut()).iter_mut().for_each(|x| *x = next()));
            metric.gather_rows(communicator)?;
        }
        Ok(())
    }

    /// What was measured doesn't count.
    pub(super) fn count_nothing(&mut self) {
        (self.loss, self.weight, self.samples) = (0.0, 0.0, 0);
        self.output_losses.iter_mut().for_each(|(_, sum)| *sum = 0.0);
        for metric in &mut self.metrics {
            metric.sums.iter_mut().for_each(|sum| doubles(sum.as_mut()).fill(0.0));
            metric.has_rows = false;
        }
    }

    /// Takes the totals of further batches in.
    pub(in crate::train) fn merge(&mut self, more: &Self) {
        self.loss += more.loss;
        self.weight += more.weight;
        self.samples += more.samples;
        self.output_losses.iter_mut().zip(&more.output_losses).for_each(|((_, sum), (_, more))| *sum += more);
        self.metrics.iter_mut().zip(&more.metrics).for_each(|(metric, more)| metric.merge(more));
    }
}

impl MetricTotals {
    /// The rows of all processes, by rank.
    fn gather_rows(&mut self, communicator: &dyn Communicator) -> Result<(), TrainError> {
        for ((_, how), rows) in self.ports.iter().zip(&mut self.rows) {
            let Accumulate::Rows(_) = how else { continue };
            let own = concatenate(rows)?;
            let bytes = if self.has_rows { own.data().to_bytes() } else { vec![] };
            let of_row = own.data().len() / own.ty().shape.first().copied().unwrap_or(1).max(1);
            rows.clear();
            for block in gather_blocks(communicator, &bytes)? {
                let data = Data::from_bytes(own.ty().dtype, &block);
                let count = data.len() / of_row.max(1);
                if count == 0 {
                    continue;
                }
                let wrong = |e: &dyn std::fmt::Display| TrainError::Setting(format!("rows of a metric: {e}"));
                let dims = [&[count], own.ty().shape.get(1..).unwrap_or_default()].concat();
                let shape = Shape::new(&dims).map_err(|e| wrong(&e))?;
                rows.push(Value::new(own.ty().with_shape(shape), data).map_err(|e| wrong(&e))?);
            }
        }
        self.has_rows = true;
        Ok(())
    }

    fn merge(&mut self, more: &Self) {
        let mut of_samples = self.has_rows;
        for (i, (_, how)) in self.ports.iter().enumerate() {
            match (how, &mut self.sums[i], &more.sums[i]) {
                (Accumulate::Rows(_), ..) if more.has_rows || self.rows[i].is_empty() => {
                    if !self.has_rows {
                        self.rows[i].clear();
                    }
                    self.rows[i].extend(more.rows[i].iter().cloned());
                    of_samples = more.has_rows;
                }
                (Accumulate::Rows(_), ..) => {}
                (_, Some(sum), Some(more)) => {
                    if let Data::F64(more) = more.data() {
                        add_to(sum, more, self.batches == 0);
                    }
                }
                (_, first, more) => first.clone_from(more),
            }
        }
        self.has_rows = of_samples;
        self.batches += more.batches;
    }
}
