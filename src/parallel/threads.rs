//! Threads of one process as ranks: for tests, and for a look at what training among processes does.

use super::ordered::add_in_order;
use super::{Communicator, ParallelError};
use std::ops::AddAssign;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Threads that communicate by common memory.
pub struct ThreadGroup;

/// What one thread of a [`ThreadGroup`] communicates by.
pub struct GroupMember {
    rank: usize,
    size: usize,
    meeting: Arc<Meeting>,
}

/// Where threads meet, call after call.
struct Meeting {
    place: Mutex<Rendezvous>,
    changed: Condvar,
}

struct Rendezvous {
    /// What each has brought to the call under way, as bytes.
    brought: Vec<Option<Vec<u8>>>,
    /// All that was brought, once everybody has come, until everybody has taken it.
    complete: Option<Arc<Vec<Vec<u8>>>>,
    taken: usize,
    /// Who can't go on, and why.
    failed: Option<(usize, String)>,
}

impl ThreadGroup {
    /// The members of a group of so many, by rank.
    pub fn members(size: usize) -> Vec<GroupMember> {
        let place = Rendezvous { brought: vec![None; size], complete: None, taken: 0, failed: None };
        let meeting = Arc::new(Meeting { place: Mutex::new(place), changed: Condvar::new() });
        (0..size).map(|rank| GroupMember { rank, size, meeting: Arc::clone(&meeting) }).collect()
    }

    /// Runs `f` on so many threads, each with a member of one group; what each gave, by rank.
    ///
    /// # Panics
    /// If one of them panics, after the others have ended, which fail in their next collective call.
    pub fn run<R: Send>(size: usize, f: impl Fn(GroupMember) -> R + Sync) -> Vec<R> {
        std::thread::scope(|scope| {
            let f = &f;
            let threads: Vec<_> =
                Self::members(size).into_iter().map(|member| scope.spawn(move || f(member))).collect();
            let results: Vec<_> = threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            results.into_iter().map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }
}

impl GroupMember {
    fn place(&self) -> MutexGuard<'_, Rendezvous> {
        self.meeting.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings bytes, and takes those of all.
    fn meet(&self, bytes: Vec<u8>) -> Result<Arc<Vec<Vec<u8>>>, ParallelError> {
        let wait = |place| self.meeting.changed.wait(place).unwrap_or_else(PoisonError::into_inner);
        let failed = |place: &Rendezvous| {
            place.failed.clone().map_or(Ok(()), |(rank, message)| Err(ParallelError::Rank { rank, message }))
        };
        let mut place = self.place();
        // The call before may still be read.
        while place.complete.is_some() && place.brought[self.rank].is_none() && place.failed.is_none() {
            place = wait(place);
        }
        failed(&place)?;
        place.brought[self.rank] = Some(bytes);
        if place.brought.iter().all(Option::is_some) {
            let all = place.brought.iter_mut().map(|bytes| bytes.take().unwrap_or_default()).collect();
            place.complete = Some(Arc::new(all));
            self.meeting.changed.notify_all();
        }
        loop {
            if let Some(all) = place.complete.clone() {
                place.taken += 1;
                if place.taken == self.size {
                    (place.complete, place.taken) = (None, 0);
                    self.meeting.changed.notify_all();
                }
                return Ok(all);
            }
            failed(&place)?;
            place = wait(place);
        }
    }

    /// Brings bytes, as many as everybody else, and takes those of all.
    fn meet_alike(&self, bytes: Vec<u8>, size: usize) -> Result<Arc<Vec<Vec<u8>>>, ParallelError> {
        let all = self.meet(bytes)?;
        let expected = all.first().map_or(0, Vec::len);
        match all.iter().position(|bytes| bytes.len() != expected) {
            Some(rank) => {
                let (found, expected) = (all[rank].len() / size, expected / size);
                Err(ParallelError::Length { rank, found, expected })
            }
            None => Ok(all),
        }
    }

    fn reduce<const N: usize, T: Copy + AddAssign>(
        &self,
        buffer: &mut [T],
        to: fn(T) -> [u8; N],
        from: fn([u8; N]) -> T,
    ) -> Result<(), ParallelError> {
        let bytes = buffer.iter().flat_map(|x| to(*x)).collect();
        let all = self.meet_alike(bytes, N)?;
        let blocks: Vec<T> = all.iter().flat_map(|block| block.as_chunks::<N>().0.iter().map(|x| from(*x))).collect();
        add_in_order(&blocks, buffer);
        Ok(())
    }
}

/// A thread that panics, or ends while others wait for it, must not leave them waiting.
impl Drop for GroupMember {
    fn drop(&mut self) {
        let why = if std::thread::panicking() { "it panicked" } else { "it has left the group" };
        self.abort(why);
    }
}

impl Communicator for GroupMember {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_reduce(&self, buffer: &mut [f32]) -> Result<(), ParallelError> {
        self.reduce(buffer, f32::to_le_bytes, f32::from_le_bytes)
    }

    fn all_reduce_f64(&self, buffer: &mut [f64]) -> Result<(), ParallelError> {
        self.reduce(buffer, f64::to_le_bytes, f64::from_le_bytes)
    }

    fn all_gather(&self, send: &[u8], receive: &mut [u8]) -> Result<(), ParallelError> {
        let all = self.meet_alike(send.to_vec(), 1)?;
        let (expected, found) = (send.len() * self.size, receive.len());
        if expected != found {
            return Err(ParallelError::Length { rank: self.rank, found, expected });
        }
        receive.chunks_mut(send.len().max(1)).zip(all.iter()).for_each(|(to, from)| to.copy_from_slice(from));
        Ok(())
    }

    fn broadcast(&self, root: usize, bytes: &mut [u8]) -> Result<(), ParallelError> {
        let all = self.meet_alike(bytes.to_vec(), 1)?;
        if let Some(from) = all.get(root) {
            bytes.copy_from_slice(from);
        }
        Ok(())
    }

    fn barrier(&self) -> Result<(), ParallelError> {
        self.meet(Vec::new()).map(drop)
    }

    fn abort(&self, message: &str) {
        self.place().failed.get_or_insert_with(|| (self.rank, message.to_string()));
        self.meeting.changed.notify_all();
    }
}
