//! Requests that wait, and how batches are made of them.

use super::{Failure, after};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a request gets: the elements of its outputs, in the order of their numbers.
pub(super) type Answer = Result<Vec<Bytes>, Failure>;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Samples.
    pub(super) rows: usize,
    /// The elements of the inputs, in the model's order.
    pub(super) inputs: Vec<Bytes>,
    /// The numbers of the outputs that are asked for.
    pub(super) outputs: Vec<usize>,
    /// Where the answer goes.
    pub(super) reply: oneshot::Sender<Answer>,
    /// Since when it waits.
    pub(super) since: Instant,
    /// When nobody waits for it any longer.
    pub(super) deadline: Instant,
}

impl Waiting {
    /// Whether nobody waits for the answer any more.
    fn is_over(&self, now: Instant) -> bool {
        self.reply.is_closed() || self.deadline <= now
    }
}

/// Requests of one version of a model, first come, first served.
#[derive(Debug)]
pub(super) struct Queue {
    room: usize,
    max_delay: Duration,
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: VecDeque<(u64, Waiting)>,
    next: u64,
    closed: bool,
    hurried: bool,
}

/// A request's place. Who drops it gives it up: a client that went away makes room for another.
#[derive(Debug)]
pub(super) struct QueuePlace<'q> {
    queue: &'q Queue,
    number: u64,
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.queue.lock().waiting.retain(|(number, _)| *number != self.number);
    }
}

/// Why a request got no place.
#[derive(Debug)]
pub(super) enum NoPlace {
    /// As many wait as may.
    Full,
    /// The version takes none any more; the request comes back, for another version.
    Closed(Waiting),
}

impl Queue {
    /// An empty one for so many requests, of which the first waits so long for others at most.
    pub(super) fn new(room: usize, max_delay: Duration) -> Self {
        Self { room, max_delay, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes a request.
    pub(super) fn push(&self, waiting: Waiting) -> Result<QueuePlace<'_>, NoPlace> {
        let mut state = self.lock();
        if state.closed {
            return Err(NoPlace::Closed(waiting));
        }
        if state.waiting.len() >= self.room {
            return Err(NoPlace::Full);
        }
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, waiting));
        drop(state);
        self.changed.notify_one();
        Ok(QueuePlace { queue: self, number })
    }

    /// Requests that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether it takes no more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Requests don't wait for others any longer: who ends has no use for full batches.
    pub(super) fn hurry(&self) {
        self.lock().hurried = true;
        self.changed.notify_all();
    }

    /// Takes no more requests. Those that wait are still given out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for requests, up to as many samples of them as there is room for, or `portion` wants of those that wait; one that has more comes alone. The first may have waited for others as long as the delay allows.
    /// `None` when the queue is closed and empty.
    pub(super) fn next_batch(
        &self,
        room: impl Fn() -> usize,
        portion: impl Fn(usize) -> usize,
    ) -> Option<Vec<Waiting>> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            state.waiting.retain(|(_, waiting)| !waiting.is_over(now));
            let Some((_, first)) = state.waiting.front() else {
                if state.closed {
                    return None;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let rows = room();
            let at = after(first.since, self.max_delay);
            let all: usize = state.waiting.iter().map(|(_, waiting)| waiting.rows).sum();
            if state.closed || state.hurried || at <= now || all >= rows {
                return Some(state.take(portion(all.min(rows))));
            }
            state = self.changed.wait_timeout(state, at - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A list is whole whatever happened to a thread that had it.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    /// The first requests, as many as have `rows` samples together; at least one.
    fn take(&mut self, rows: usize) -> Vec<Waiting> {
        let (mut batch, mut taken) = (vec![], 0);
        while let Some((_, next)) = self.waiting.front()
            && (batch.is_empty() || taken + next.rows <= rows)
        {
            taken += next.rows;
            batch.extend(self.waiting.pop_front().map(|(_, waiting)| waiting));
        }
        batch
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn waiting(rows: usize) -> (Waiting, oneshot::Receiver<Answer>) {
        let (reply, receiver) = oneshot::channel();
        let since = Instant::now();
        let deadline = since + Duration::from_secs(1000);
        (Waiting { rows, inputs: vec![], outputs: vec![], reply, since, deadline }, receiver)
    }

    /// Takes all that wait.
    fn all(waiting: usize) -> usize {
        waiting
    }

    #[test]
    fn what_a_portion_leaves_comes_first_in_the_next() {
        let queue = Queue::new(10, Duration::ZERO);
        let requests: Vec<_> = [1, 1, 3].into_iter().map(waiting).collect();
        let kept: Vec<_> = requests.into_iter().map(|(w, receiver)| (queue.push(w).unwrap(), receiver)).collect();
        let rows = |portion| queue.next_batch(|| 8, |_| portion).unwrap().iter().map(|w| w.rows).collect::<Vec<_>>();
        assert_eq!((rows(4), rows(2), kept.len()), (vec![1, 1], vec![3], 3));
    }

    #[test]
    fn batches_are_filled_in_order_and_no_further() {
        let queue = Queue::new(10, Duration::ZERO);
        let requests: Vec<_> = [3, 2, 4, 9].into_iter().map(waiting).collect();
        let mut kept = vec![];
        for (request, receiver) in requests {
            kept.push((queue.push(request).unwrap(), receiver));
        }
        let sizes = || queue.next_batch(|| 6, all).unwrap().iter().map(|w| w.rows).collect::<Vec<_>>();
        assert_eq!((sizes(), sizes(), sizes()), (vec![3, 2], vec![4], vec![9]));
    }

    #[test]
    fn who_goes_away_gives_the_place_back() {
        let queue = Queue::new(2, Duration::ZERO);
        let ((first, one), (second, two), (third, three)) = (waiting(1), waiting(1), waiting(1));
        let place = queue.push(first).unwrap();
        let _second = queue.push(second).unwrap();
        assert!(matches!(queue.push(third), Err(NoPlace::Full)));
        drop((place, one));
        assert_eq!(queue.len(), 1);
        let (third, _receiver) = waiting(5);
        let _third = queue.push(third).unwrap();
        // Nobody waits for the second any more, though its place is still held.
        drop((two, three));
        assert_eq!(queue.next_batch(|| 8, all).unwrap().iter().map(|w| w.rows).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn a_closed_queue_gives_out_what_it_has_and_takes_nothing() {
        let queue = Queue::new(2, Duration::from_secs(1000));
        let ((first, _one), (second, _two)) = (waiting(1), waiting(1));
        let place = queue.push(first).unwrap();
        queue.close();
        assert!(matches!(queue.push(second), Err(NoPlace::Closed(_))));
        assert_eq!(queue.next_batch(|| 8, all).unwrap().len(), 1);
        assert!(queue.next_batch(|| 8, all).is_none());
        drop(place);
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let queue = Queue::new(9, Duration::from_secs(1000));
        let requests: Vec<_> = (0..4).map(|_| waiting(1)).collect();
        let kept: Vec<_> = requests.into_iter().map(|(w, receiver)| (queue.push(w).unwrap(), receiver)).collect();
        assert_eq!(queue.next_batch(|| 4, all).unwrap().len(), kept.len());
    }
}
