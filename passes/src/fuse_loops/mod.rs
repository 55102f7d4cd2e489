//! Runs the loop of a kernel inside the loop of the one kernel that reads its result.
//!
//! # Does
//! Where a temporary buffer is written by one kernel and read by one other, and the iterations of both kernels' outermost loops use the
//! same stretches of it, the two become one kernel: each iteration computes a stretch into scratch memory and uses it there, while
//! it is in the cache. Loops inside are joined likewise, as far as stretches go. The buffer is gone. Sums of columns stay apart: each is cut by itself into
//! chunks of rows. Loops that then stand one behind the other in a kernel's loop become one where they hand over scratch memory, and
//! what a copy of scratch memory would put in its place is stored there at once. Kernels of more than a few dozen parameters aren't joined any further.
//! # Requires
//! Stage `decomposed`, loops collapsed and not yet cut.
//! # Ensures
//! The same stage. No kernel has fewer iterations to share among threads than the fewest that are worth sharing.
//! # Example
//! A convolution `for i0 in 0..32 { for i1 in 0..26 { .. store p3[i0*21632 + i1*832 + ..] } }` and the pooling of its result
//! `for i0 in 0..32 { for i1 in 0..13 { .. load p0[i0*21632 + i1*1664 + ..] } }` become `for i0 in 0..32 { for i1 in 0..13 { for i2 in 0..2 {
//! .. store l0[i2*832 + ..] } .. load l0[..] } }`.

mod adjacent;
mod forward;
mod join;
mod link;
mod steps;
mod uses;

use crate::{PassContext, PassError};
use ir::map_of;
use join::Join;
use kernel::walk::map_accesses;
use kernel::{BufRef, BufferId, Kernel, Launch, Program};
use link::{ArgumentPositions, Link, LinkArguments};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use steps::Steps;
use uses::LaunchUses;

/// Kernels with more parameters together stay apart: a sum of a thousand products would become one kernel, joined a thousand times.
const MAX_PARAMS: usize = 32;

/// Runs the pass.
///
/// # Errors
/// If a kernel doesn't type: a defect of an earlier pass.
pub fn run(program: &mut Program, context: &PassContext) -> Result<(), PassError> {
    // Kernels that have become one may have been the two that read a buffer.
    while joined_any(program, context)? {
        program.remove_unused();
        program.share_code();
    }
    program.change_kernels(|kernel| {
        forward::forward(kernel)?;
        adjacent::fuse(kernel)?;
        remove_unused_locals(kernel);
        Ok(())
    })
}

/// Removes the scratch memory that a kernel doesn't use.
fn remove_unused_locals(kernel: &mut Kernel) {
    let local = |buf| if let BufRef::Local(local) = buf { Some(local) } else { None };
    let used: BTreeSet<u32> = steps::uses(&kernel.body, true).into_keys().filter_map(local).collect();
    if used.len() == kernel.locals.len() {
        return;
    }
    let numbers = map_of(used.iter().copied().zip(0u32..));
    map_accesses(&mut kernel.body, &mut |buf, _| {
        if let BufRef::Local(local) = buf {
            *local = numbers.get(local).copied().unwrap_or_default();
        }
    });
    kernel.locals = used.iter().map(|local| kernel.locals[*local as usize].clone()).collect();
}

/// Joins what can be joined, looking at each buffer once; true if that was anything.
fn joined_any(program: &mut Program, context: &PassContext) -> Result<bool, PassError> {
    let mut uses = LaunchUses::of(program);
    let mut gone = BTreeSet::new();
    let mut alike = Alike { firsts: program.first_of_equal(), ..Alike::default() };
    for buffer in 0..program.buffers.len() {
        let buffer = BufferId(buffer as u32);
        let Some(link) = Link::through(program, &uses, buffer) else { continue };
        if !alike.may_join(program, &link)? {
            continue;
        }
        let arguments = LinkArguments::of(program, &link);
        if let Some(kernel) = alike.join(program, &link, &arguments, context.target.caches().l2_bytes / 2)? {
            gone.insert(link.replace(program, &mut uses, kernel, arguments.args));
        }
    }
    let mut places = 0..;
    program.launches.retain(|_| places.next().is_none_or(|place| !gone.contains(&place)));
    Ok(!gone.is_empty())
}

/// What has been found out about kernels, for those that differ from them only in their names: layers that are alike are joined alike.
#[derive(Default)]
struct Alike {
    /// For each kernel, the first that differs from it only in its name.
    firsts: Vec<usize>,
    /// For such first ones, what is to be known of each alone.
    steps: BTreeMap<usize, Option<Steps>>,
    /// For two of them and which of their arguments are the same, the kernel that they become, if they do; without a name.
    joined: BTreeMap<([usize; 2], ArgumentPositions), Option<Kernel>>,
}

impl Alike {
    /// The first kernel that is like that of a launch. Those that joining has made are taken for unlike all others.
    fn first(&self, launch: &Launch) -> usize {
        self.firsts.get(launch.kernel as usize).copied().unwrap_or(launch.kernel as usize)
    }

    /// False if the two kernels of a link can't be joined for what can be said of each alone; that is nearly always so.
    fn may_join(&mut self, program: &Program, link: &Link) -> Result<bool, PassError> {
        let sides = link.launches(program);
        if sides.iter().map(|launch| launch.args.len()).sum::<usize>() > MAX_PARAMS {
            return Ok(false);
        }
        for launch in sides {
            if let Entry::Vacant(entry) = self.steps.entry(self.first(launch)) {
                entry.insert(Steps::of(&program.kernels[launch.kernel as usize])?);
            }
        }
        let side = |launch: &Launch| {
            let param = launch.args.iter().position(|arg| *arg == link.buffer)?;
            Some((self.steps.get(&self.first(launch))?.as_ref()?, param))
        };
        let [first, second] = sides.map(side);
        Ok(first.zip(second).is_some_and(|((first, p), (second, q))| Steps::may_join(first, p, second, q)))
    }

    /// The one kernel that takes the place of the two of a link, if they fit together and hand over at most `limit` bytes at a time.
    fn join(
        &mut self,
        program: &Program,
        link: &Link,
        arguments: &LinkArguments,
        limit: usize,
    ) -> Result<Option<Kernel>, PassError> {
        let firsts = link.launches(program).map(|launch| self.first(launch));
        let joined = match self.joined.entry((firsts, arguments.places.clone())) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let join = Join::of(program, link, arguments)?;
                let code = join.and_then(|join| join.code(limit));
                entry.insert(code.map(|code| Kernel::new(String::new(), code)))
            }
        };
        Ok(joined.as_ref().map(|kernel| {
            let mut named = kernel.clone();
            named.name = link.name(program);
            named
        }))
    }
}
