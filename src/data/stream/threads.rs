//! A pass over a stream: threads that make batches ready while a step runs, and give them in order.

use super::block::{Block, BlockWork};
use super::origin::Chooser;
use crate::data::{BatchReader, BatchView, DataError};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// A pass without threads: batches are made when they are asked for.
pub(super) struct InlinePass {
    chooser: Chooser,
    work: BlockWork,
    block: Block,
    rows: Vec<usize>,
    over: bool,
}

impl InlinePass {
    pub(super) fn new(chooser: Chooser, work: BlockWork, block: Block) -> Self {
        let rows = (0..block.places.len()).collect();
        Self { chooser, work, block, rows, over: false }
    }
}

impl BatchReader for InlinePass {
    fn next_batch(&mut self) -> Result<Option<BatchView<'_>>, DataError> {
        if self.over {
            return Ok(None);
        }
        self.chooser.fill(&mut self.block);
        self.work.run(&mut self.block);
        self.over = self.block.error.is_some() || self.block.rows < self.rows.len();
        view(&mut self.block, &self.rows)
    }
}

/// A pass whose batches are made by threads. Blocks go round: chosen by one thread, worked on by several, used, free again. Batch `b` is worker
/// `b % workers`'s, and is awaited there, so that the order is the same whatever their number.
pub(super) struct ThreadedPass {
    free: Option<SyncSender<Block>>,
    done: Vec<Receiver<Block>>,
    next: usize,
    current: Option<Block>,
    rows: Vec<usize>,
    handles: Vec<JoinHandle<()>>,
}

impl ThreadedPass {
    /// Starts them; `blocks` are what they work with, `workers` at least 1.
    pub(super) fn start(
        chooser: Chooser,
        work: &BlockWork,
        blocks: Vec<Block>,
        workers: usize,
    ) -> Result<Self, DataError> {
        let count = blocks.len();
        let rows = (0..blocks.first().map_or(0, |block| block.places.len())).collect();
        // No channel ever holds more than all blocks, so that sending never waits.
        let (free, chosen_from) = sync_channel(count);
        blocks.into_iter().for_each(|block| drop(free.send(block)));
        let mut threads =
            Self { free: Some(free), done: Vec::new(), next: 0, current: None, rows, handles: Vec::new() };
        let mut to = Vec::new();
        for worker in 0..if work.is_nothing() { 1 } else { workers } {
            let (sender, receiver) = sync_channel(count);
            threads.done.push(receiver);
            if work.is_nothing() {
                to.push(sender);
                continue;
            }
            let (chosen, worked) = sync_channel(count);
            to.push(chosen);
            let work = work.clone();
            threads.spawn(format!("gradc-data-{worker}"), move || work_on(&work, &worked, &sender))?;
        }
        threads.spawn("gradc-data".into(), move || choose(chooser, &chosen_from, &to))?;
        Ok(threads)
    }

    fn spawn(&mut self, name: String, f: impl FnOnce() + Send + 'static) -> Result<(), DataError> {
        let handle = std::thread::Builder::new().name(name).spawn(f);
        let wrong =
            |e: std::io::Error| DataError::Dataset(format!("a thread for the stream could not be started: {e}"));
        self.handles.push(handle.map_err(wrong)?);
        Ok(())
    }
}

/// Fills free blocks and deals them out.
fn choose(mut chooser: Chooser, free: &Receiver<Block>, to: &[SyncSender<Block>]) {
    for to in to.iter().cycle() {
        let Ok(mut block) = free.recv() else { return };
        chooser.fill(&mut block);
        let last = block.error.is_some() || block.rows < block.places.len();
        if to.send(block).is_err() || last {
            return;
        }
    }
}

/// Works on blocks as they come.
fn work_on(work: &BlockWork, chosen: &Receiver<Block>, done: &SyncSender<Block>) {
    while let Ok(mut block) = chosen.recv() {
        work.run(&mut block);
        if done.send(block).is_err() {
            return;
        }
    }
}

impl BatchReader for ThreadedPass {
    fn next_batch(&mut self) -> Result<Option<BatchView<'_>>, DataError> {
        if let (Some(used), Some(free)) = (self.current.take(), &self.free) {
            // Nobody takes it any more after the last block: it ends here.
            drop(free.send(used));
        }
        let from = self.next % self.done.len().max(1);
        self.next += 1;
        let Some(Ok(block)) = self.done.get(from).map(Receiver::recv) else {
            self.done.clear();
            return Ok(None);
        };
        if block.error.is_some() {
            self.done.clear();
        }
        view(self.current.insert(block), &self.rows)
    }
}

/// Threads end where nobody sends them blocks or takes theirs, and are waited for: no file stays open behind the user's back.
impl Drop for ThreadedPass {
    fn drop(&mut self) {
        self.free = None;
        self.done.clear();
        for handle in self.handles.drain(..) {
            // Their code catches the panics of what it calls.
            drop(handle.join());
        }
    }
}

/// The batch of a block that is done.
fn view<'a>(block: &'a mut Block, rows: &'a [usize]) -> Result<Option<BatchView<'a>>, DataError> {
    if let Some(error) = block.error.take() {
        return Err(error);
    }
    match block.parts.last().filter(|_| block.rows > 0) {
        Some(part) => BatchView::new(part, &rows[..block.rows], block.first).map(Some),
        None => Ok(None),
    }
}
