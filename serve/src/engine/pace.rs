//! How long batches take, and how many of the samples that wait are best computed at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a batch of each size took of late.
#[derive(Debug)]
pub(super) struct BatchTimes(Vec<BatchTime>);

#[derive(Debug)]
struct BatchTime {
    samples: usize,
    /// Nanoseconds; 0 before there was one.
    took: AtomicU64,
}

impl BatchTime {
    fn get(&self) -> Option<f64> {
        Some(self.took.load(Ordering::Relaxed)).filter(|took| *took > 0).map(|took| took as f64)
    }

    /// A part of the difference at a time: a batch that was interrupted says little.
    fn approach(&self, took: f64, part: f64) {
        let next = self.get().map_or(took, |before| before + (took - before) * part);
        self.took.store((next as u64).max(1), Ordering::Relaxed);
    }
}

impl BatchTimes {
    /// Of these sizes, from the smallest to the largest.
    pub(super) fn new(sizes: impl Iterator<Item = usize>) -> Self {
        Self(sizes.map(|samples| BatchTime { samples, took: AtomicU64::new(0) }).collect())
    }

    /// A batch of that size took so long.
    pub(super) fn record(&self, samples: usize, took: Duration) {
        if let Some(time) = self.0.iter().find(|time| time.samples == samples) {
            time.approach(took.as_nanos() as f64, 0.125);
        }
    }

    /// Of so many samples that wait, how many to take at once: all, in a batch with room to spare, or as many as fill a smaller one, whichever predicts more samples in a second. Those that are left are the first of
    /// the next batch.
    pub(super) fn portion(&self, waiting: usize) -> usize {
        let above = self.0.iter().find(|time| time.samples >= waiting);
        let below = self.0.iter().rev().find(|time| time.samples < waiting);
        let (Some(above), Some(below)) = (above, below) else { return waiting };
        let (Some(spare), Some(full)) = (above.get(), below.get()) else { return waiting };
        if above.samples == waiting || waiting as f64 * full >= below.samples as f64 * spare {
            return waiting;
        }
        // It may have been slow by chance: in the end it is tried again.
        above.approach(0.0, 1.0 / 256.0);
        below.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(took: &[(usize, u64)]) -> BatchTimes {
        let times = BatchTimes::new([1, 2, 4, 8].into_iter());
        took.iter().for_each(|(samples, us)| times.record(*samples, Duration::from_micros(*us)));
        times
    }

    #[test]
    fn batches_have_no_room_to_spare_where_that_costs_time() {
        let portions = |times: &BatchTimes| [1, 2, 3, 4, 5, 7, 8].map(|waiting| times.portion(waiting));
        let linear = times(&[(1, 10), (2, 20), (4, 40), (8, 80)]);
        assert_eq!(portions(&linear), [1, 2, 2, 4, 4, 4, 8]);
        // A launch takes as long as all samples.
        let steady = times(&[(1, 10), (2, 10), (4, 10), (8, 11)]);
        assert_eq!(portions(&steady), [1, 2, 3, 4, 5, 7, 8]);
        // Seven in the time of eight are more than four in that of four; five aren't.
        let large = times(&[(1, 30), (2, 40), (4, 50), (8, 80)]);
        assert_eq!(portions(&large), [1, 2, 3, 4, 4, 7, 8]);
        assert_eq!(portions(&times(&[(8, 80)])), [1, 2, 3, 4, 5, 7, 8]);
    }

    #[test]
    fn a_size_that_was_slow_by_chance_is_tried_again() {
        let times = times(&[(4, 40), (8, 8000)]);
        let tries = (0..5000).position(|_| times.portion(7) == 7);
        assert!(tries.is_some_and(|tries| tries > 100));
        times.record(8, Duration::from_micros(60));
        assert_eq!(times.portion(5), 4);
    }
}
