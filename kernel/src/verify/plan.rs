//! Invariants 15 to 17: the memory plan.

use super::program::may_share;
use super::{ALIGNMENT, ErrorReport, InPlaceProofs};
use crate::text::TextLine;
use crate::{Buffer, BufferId, BufferKind, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// When a buffer's contents matter: launches by number, both ends included. What is there before the first launch begins at -1; what
/// the caller reads, or the next run, ends after the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Life {
    first: i64,
    last: i64,
}

fn life(program: &Program, id: usize, used: Option<(i64, i64)>) -> Option<Life> {
    let end = program.launches.len() as i64;
    Some(match &program.buffers[id].kind {
        BufferKind::Constant { .. } | BufferKind::State { .. } => Life { first: -1, last: end },
        BufferKind::Input { .. } => Life { first: -1, last: used.map_or(-1, |u| u.1) },
        BufferKind::Output { .. } | BufferKind::Next { .. } => Life { first: used?.0, last: end },
        BufferKind::Temp => Life { first: used?.0, last: used?.1 },
    })
}

/// Checks the plan of a program that is sound otherwise.
pub(super) fn check(proofs: &mut InPlaceProofs<'_>, report: &mut ErrorReport) {
    let program = proofs.program();
    let arena = program.arena_bytes;
    if arena.is_none() {
        report.add(15, TextLine::Program, "the arena's size is missing");
    }
    for (at, buffer) in program.buffers.iter().enumerate() {
        if let BufferKind::State { .. } = buffer.kind {
            if buffer.offset.is_some() {
                report.add(
                    15,
                    TextLine::Buffer(at),
                    format!("b{at} is a state: it has memory of its own, and no place in the arena"),
                );
            }
            continue;
        }
        match buffer.span() {
            None if is_in_its_state(buffer) => {}
            None => report.add(15, TextLine::Buffer(at), format!("b{at} has no place")),
            Some(span) if span.start % ALIGNMENT != 0 => {
                report.add(15, TextLine::Buffer(at), format!("the offset is no multiple of {ALIGNMENT}"));
            }
            Some(span) if arena.is_some_and(|arena| span.end > arena) => {
                report.add(15, TextLine::Buffer(at), format!("b{at} ends at {}, beyond the arena", span.end));
            }
            _ => {}
        }
    }
    check_next(program, report);
    let in_order = |(first, last)| (first as i64, last as i64);
    let uses: Vec<Option<(i64, i64)>> = program.uses().into_iter().map(|used| used.map(in_order)).collect();
    let living =
        |id: usize| Some(Living { id, life: life(program, id, uses[id])?, last_use: uses[id].map_or(-1, |u| u.1) });
    check_in_states(proofs, &living, report);
    let in_arena = |id: &usize| program.buffers[*id].span().is_some();
    let living: Vec<Living> = (0..program.buffers.len()).filter(in_arena).filter_map(living).collect();
    if !overlaps_are_sound(proofs, living.clone()) {
        // Something is wrong: all that is.
        for (at, &a) in living.iter().enumerate() {
            for &b in &living[at + 1..] {
                if let Err(why) = check_pair(proofs, a, b) {
                    report.add(16, TextLine::Buffer(b.id), format!("b{} overlaps b{}: {why}", b.id, a.id));
                }
            }
        }
    }
}

/// Whether every two buffers that overlap may; plans are large, and nearly always sound. Goes along the launches with the buffers that are alive, by where they
/// start: those that overlap and may start at one address, so that what overlaps a new one stands next to it.
fn overlaps_are_sound(proofs: &mut InPlaceProofs<'_>, mut living: Vec<Living>) -> bool {
    living.sort_by_key(|l| (l.life.first, l.id));
    let mut alive: BTreeMap<(usize, usize), (Range<usize>, Living)> = BTreeMap::new();
    let mut ends: BTreeSet<(i64, usize, usize)> = BTreeSet::new();
    for new in living {
        let Some(span) = proofs.program().buffers[new.id].span() else { return false };
        while let Some(&(end, start, id)) = ends.first().filter(|(end, ..)| *end < new.life.first) {
            ends.remove(&(end, start, id));
            alive.remove(&(start, id));
        }
        let mut free_from = None;
        for (&(start, _), (other, old)) in alive.range(..(span.end, 0)).rev() {
            // All that starts there has been looked at, and nothing overlapped: nothing before it does.
            if free_from.is_some_and(|free| start < free) {
                break;
            }
            if other.end <= span.start {
                free_from = free_from.or(Some(start));
                continue;
            }
            free_from = None;
            if start != span.start || check_pair(proofs, *old, new).is_err() {
                return false;
            }
        }
        ends.insert((new.life.last, span.start, new.id));
        alive.insert((span.start, new.id), (span, new));
    }
    true
}

/// A buffer that is needed at some time.
#[derive(Clone, Copy)]
struct Living {
    id: usize,
    life: Life,
    /// The last launch that it is bound in.
    last_use: i64,
}

/// Whether two buffers may stand where they do.
///
/// # Errors
/// Why not.
fn check_pair(proofs: &mut InPlaceProofs<'_>, a: Living, b: Living) -> Result<(), String> {
    let program = proofs.program();
    let (Some(p), Some(q)) = (program.buffers[a.id].span(), program.buffers[b.id].span()) else { return Ok(()) };
    if p.end <= q.start || q.end <= p.start {
        return Ok(());
    }
    let (x, y) = (a.life, b.life);
    if x.last < y.first || y.last < x.first {
        Ok(())
    } else if x.last == y.first {
        hand_over(proofs, a.id, b.id, x.last)
    } else if y.last == x.first {
        hand_over(proofs, b.id, a.id, y.last)
    } else {
        Err("both are needed at the same time".into())
    }
}

/// Whether a buffer of a planned program is a next value that stands in its state's memory.
fn is_in_its_state(buffer: &Buffer) -> bool {
    matches!(buffer.kind, BufferKind::Next { .. }) && buffer.offset.is_none()
}

/// Next values in the memory of their states: once one is born nobody may ask for the state.
fn check_in_states(proofs: &mut InPlaceProofs<'_>, living: &dyn Fn(usize) -> Option<Living>, report: &mut ErrorReport) {
    let program = proofs.program();
    let states = program.states();
    for (next, buffer) in program.buffers.iter().enumerate().filter(|(_, buffer)| is_in_its_state(buffer)) {
        let BufferKind::Next { name } = &buffer.kind else { continue };
        let (Some(&state), Some(new)) = (states.get(name.as_str()), living(next)) else { continue };
        let Some(old) = living(state) else { continue };
        let sound = if old.last_use < new.life.first {
            Ok(())
        } else if old.last_use == new.life.first {
            hand_over(proofs, state, next, old.last_use)
        } else {
            Err("both are needed at the same time".into())
        };
        if let Err(why) = sound {
            report.add(16, TextLine::Buffer(next), format!("b{next} stands in the memory of b{state}: {why}"));
        }
    }
}

/// Whether launch `at` may read `old` and write `new` in the same memory.
fn hand_over(proofs: &mut InPlaceProofs<'_>, old: usize, new: usize, at: i64) -> Result<(), String> {
    let program = proofs.program();
    if program.buffers[old].offset != program.buffers[new].offset {
        return Err("they don't start at one address".into());
    }
    let Some(launch) = usize::try_from(at).ok().and_then(|at| program.launches.get(at)) else {
        return Err("both are needed at the same time".into());
    };
    let kernel = &program.kernels[launch.kernel as usize];
    let params = |id: usize| {
        let bound = launch.args.iter().enumerate().filter(move |(_, arg)| arg.0 as usize == id);
        bound.map(|(p, _)| p).collect::<Vec<_>>()
    };
    for p in params(old) {
        for q in params(new) {
            may_share(proofs, launch.kernel, p, q)
                .map_err(|why| format!("in launch {at} of `{}`, {why}", kernel.name))?;
        }
    }
    Ok(())
}

/// Invariant 17: the next value stands where the state does, or the last launch that writes the state reads it, after all that write it.
fn check_next(program: &Program, report: &mut ErrorReport) {
    let states = program.states();
    let mut last_store: Vec<Option<usize>> = vec![None; program.buffers.len()];
    for (at, launch) in program.launches.iter().enumerate() {
        let params = program.kernels[launch.kernel as usize].params.iter();
        for (arg, _) in launch.args.iter().zip(params).filter(|(_, p)| p.access.stores()) {
            last_store[arg.0 as usize] = Some(at);
        }
    }
    for (at, buffer) in program.buffers.iter().enumerate() {
        let BufferKind::Next { name } = &buffer.kind else { continue };
        let Some(&state) = states.get(name.as_str()) else { continue };
        if is_in_its_state(buffer) {
            continue;
        }
        let copied = match (last_store[state], last_store[at]) {
            (Some(copy), Some(written)) => copy > written && program.launches[copy].args.contains(&BufferId(at as u32)),
            _ => false,
        };
        if !copied {
            let message = format!("b{at} is neither in the memory of its state b{state} nor copied to it");
            report.add(17, TextLine::Buffer(at), message);
        }
    }
}
