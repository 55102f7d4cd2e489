//! What of the arena is taken when: the lowest place that is free while a buffer lives, without a look at all buffers that live then.

use super::life::Life;
use crate::PassError;
use std::cmp::Reverse;
use std::ops::Range;

/// Offsets are multiples of this: a cache line, and the widest vector.
const ALIGN: usize = 64;

/// A block of more lanes is halved.
const MOST_LANES: usize = 64;
/// All launches of any program.
const ALWAYS: Life = Life { first: 0, last: usize::MAX };

/// A stretch of memory and when groups occupy just this, one after the other.
struct Lane {
    start: usize,
    end: usize,
    /// Ascending; no two have a launch in common.
    lives: Vec<Life>,
    /// The longest of them: it has most in common with those of other lanes.
    longest: Life,
}

impl Lane {
    fn new(start: usize, end: usize, life: Life) -> Self {
        Self { start, end, lives: vec![life], longest: life }
    }

    fn take(&mut self, life: Life) {
        self.lives.insert(self.lives.partition_point(|other| other.first < life.first), life);
        if life.length() > self.longest.length() {
            self.longest = life;
        }
    }

    /// What the lane takes, as a whole number of the units of offsets.
    fn memory(&self) -> Result<Range<usize>, PassError> {
        Ok(self.start..align(self.end)?)
    }

    fn is_taken(&self, life: Life) -> bool {
        if self.longest.meets(life) {
            return true;
        }
        let begun = self.lives.partition_point(|other| other.first <= life.last);
        begun > 0 && self.lives[begun - 1].last >= life.first
    }
}

/// Lanes that follow one another, and what is known of all of them. Where each step of a sequence keeps something for the way back there are as many lanes as
/// steps, and most of them are taken: whole blocks are passed over at once.
struct LaneBlock {
    lanes: Vec<Lane>,
    /// The memory of all lanes: stretches that don't touch, ascending.
    covered: Vec<Range<usize>>,
    /// Launches at each of which all that memory is taken; none are known where the first is after the last.
    all_taken: Life,
    /// The largest stretch between two of the lanes' memory.
    gap: usize,
}

impl LaneBlock {
    fn of(lanes: Vec<Lane>) -> Result<Self, PassError> {
        let mut block = Self { lanes, covered: vec![], all_taken: ALWAYS, gap: 0 };
        // Lanes within what others take longer say nothing of the whole.
        let mut longest: Vec<usize> = (0..block.lanes.len()).collect();
        longest.sort_by_key(|&at| Reverse(block.lanes[at].longest.length()));
        for at in longest {
            let (memory, life) = (block.lanes[at].memory()?, block.lanes[at].longest);
            if !block.covers(&memory) {
                let all = block.all_taken;
                block.all_taken = Life { first: all.first.max(life.first), last: all.last.min(life.last) };
                cover(&mut block.covered, memory);
            }
        }
        block.gap = block.covered.windows(2).map(|two| two[1].start - two[0].end).max().unwrap_or(0);
        Ok(block)
    }

    fn covers(&self, memory: &Range<usize>) -> bool {
        let after = self.covered.partition_point(|stretch| stretch.start <= memory.start);
        after > 0 && memory.end <= self.covered[after - 1].end
    }

    fn start(&self) -> usize {
        self.covered.first().map_or(0, |stretch| stretch.start)
    }

    fn end(&self) -> usize {
        self.covered.last().map_or(0, |stretch| stretch.end)
    }

    /// True if the block has no place for a group of that size and life: all its memory is taken, and what lies between is too small.
    fn is_full(&self, size: usize, life: Life) -> bool {
        self.all_taken.first <= self.all_taken.last && self.all_taken.meets(life) && self.gap < size
    }
}

/// Adds a stretch to those that don't touch.
fn cover(covered: &mut Vec<Range<usize>>, mut new: Range<usize>) {
    let from = covered.partition_point(|stretch| stretch.end < new.start);
    let to = covered.partition_point(|stretch| stretch.start <= new.end);
    if let Some(joined) = covered.get(from..to).filter(|joined| !joined.is_empty()) {
        new = new.start.min(joined[0].start)..new.end.max(joined[joined.len() - 1].end);
    }
    covered.splice(from..to, [new]);
}

/// All lanes, ascending by start, in blocks. There are far fewer lanes than groups: what lives always is one, and what follows one another has the same
/// place.
pub(super) struct Lanes {
    /// From the first launch beyond the last.
    whole: Life,
    blocks: Vec<LaneBlock>,
}

impl Lanes {
    pub(super) fn new(whole: Life) -> Self {
        Self { whole, blocks: vec![] }
    }

    /// The lowest aligned offset at which no group overlaps that is alive at the same time.
    pub(super) fn lowest(&self, size: usize, life: Life) -> Result<usize, PassError> {
        let mut offset = 0usize;
        for block in &self.blocks {
            let is_near = block.start() < offset.checked_add(size).ok_or_else(too_large)?;
            if is_near && block.is_full(size, life) {
                offset = offset.max(block.end());
                continue;
            }
            for lane in block.lanes.iter().filter(|lane| lane.is_taken(life)) {
                if lane.start >= offset.checked_add(size).ok_or_else(too_large)? {
                    return Ok(offset);
                }
                offset = offset.max(align(lane.end)?);
            }
        }
        Ok(offset)
    }

    /// Takes a stretch for a life.
    pub(super) fn insert(&mut self, start: usize, end: usize, life: Life) -> Result<(), PassError> {
        let key = |lane: &Lane| (lane.start, lane.end);
        // The block that the stretch belongs in: the last one that doesn't begin above it.
        let after =
            self.blocks.partition_point(|block| block.lanes.first().is_some_and(|lane| key(lane) <= (start, end)));
        let Some(block) = after.checked_sub(1) else {
            return self.insert_at(0, 0, Lane::new(start, end, life));
        };
        let lanes = &mut self.blocks[block].lanes;
        let at = lanes.partition_point(|lane| key(lane) < (start, end));
        if let Some(lane) = lanes.get_mut(at).filter(|lane| key(lane) == (start, end)) {
            let longest = lane.longest;
            lane.take(life);
            // What is known of the block stays true.
            return if lane.longest == longest { Ok(()) } else { self.refresh(block) };
        }
        if let Some(before) = at.checked_sub(1).map(|before| &mut lanes[before])
            && life == self.whole
            && before.longest == life
            && align(before.end)? == start
        {
            before.end = end;
            return self.refresh(block);
        }
        self.insert_at(block, at, Lane::new(start, end, life))
    }

    fn insert_at(&mut self, block: usize, at: usize, lane: Lane) -> Result<(), PassError> {
        if self.blocks.is_empty() {
            self.blocks.push(LaneBlock::of(vec![lane])?);
            return Ok(());
        }
        let is_known = self.blocks[block].covers(&lane.memory()?);
        let lanes = &mut self.blocks[block].lanes;
        lanes.insert(at, lane);
        if is_known && lanes.len() <= MOST_LANES {
            return Ok(());
        }
        if lanes.len() > MOST_LANES {
            let upper = lanes.split_off(MOST_LANES / 2);
            self.blocks.insert(block + 1, LaneBlock::of(upper)?);
        }
        self.refresh(block)
    }

    /// What is known of a block, after its lanes have changed.
    fn refresh(&mut self, block: usize) -> Result<(), PassError> {
        let lanes = std::mem::take(&mut self.blocks[block].lanes);
        self.blocks[block] = LaneBlock::of(lanes)?;
        Ok(())
    }
}

/// The next offset that a buffer may have.
pub(super) fn align(bytes: usize) -> Result<usize, PassError> {
    bytes.checked_next_multiple_of(ALIGN).ok_or_else(too_large)
}

/// The error of an arena beyond an address space.
pub(super) fn too_large() -> PassError {
    PassError::Unsupported { what: "the arena is larger than an address space: use a smaller batch".into(), loc: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offset that a look at all groups gives.
    fn naive(placed: &[(usize, usize, Life)], size: usize, life: Life) -> usize {
        let mut taken: Vec<(usize, usize)> =
            placed.iter().filter(|(_, _, other)| other.meets(life)).map(|&(start, end, _)| (start, end)).collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if start >= offset + size {
                break;
            }
            offset = offset.max(end.next_multiple_of(64));
        }
        offset
    }

    /// Where a look at all groups would put each, for lives that begin and end anywhere, are nested, last to the end, or follow one another.
    #[test]
    fn blocks_of_lanes_give_the_places_that_a_look_at_all_gives() {
        let mut state = 1u64;
        let mut below = |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        let launches = 400;
        for kind in 0..5 {
            let whole = Life { first: 0, last: launches };
            let (mut lanes, mut placed) = (Lanes::new(whole), vec![]);
            for group in 0..600usize {
                let t = below(launches);
                let life = match if kind == 4 { below(4) } else { kind } {
                    0 => Life { first: t, last: t + below(launches - t) },
                    1 => Life { first: t / 2, last: launches - t / 2 - 1 },
                    2 => Life { first: t, last: launches },
                    _ => Life { first: t, last: t + 1 },
                };
                let life = if kind == 4 && below(5) == 0 { whole } else { life };
                // Descending, as groups come, with some that are alike.
                let size = 4 + (600 - group) / 7 * 52;
                let offset = lanes.lowest(size, life).unwrap();
                assert_eq!(offset, naive(&placed, size, life), "group {group} of kind {kind}");
                lanes.insert(offset, offset + size, life).unwrap();
                placed.push((offset, offset + size, life));
            }
        }
    }
}
