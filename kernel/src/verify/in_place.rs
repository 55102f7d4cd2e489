//! Proves that a kernel may read from the memory that it writes to.

use super::access::{Accesses, MemoryAccess};
use super::disjoint::{iterations_are_disjoint, never_meet, reach};
use crate::{BufRef, Kernel, Program, Ranges};
use std::collections::BTreeMap;

/// What [`in_place_safe`] says of a program's kernels, each question answered once for all kernels that differ only in their names.
#[derive(Debug)]
pub struct InPlaceProofs<'p> {
    program: &'p Program,
    first_of_equal: Vec<usize>,
    /// What kernels touch, found at the first question about each.
    accesses: BTreeMap<usize, Result<Accesses, String>>,
    known: BTreeMap<(usize, u32, u32), Result<(), String>>,
}

impl<'p> InPlaceProofs<'p> {
    /// Nothing has been asked yet.
    pub fn new(program: &'p Program) -> Self {
        Self::with_first_of_equal(program, program.first_of_equal())
    }

    /// The same, where [`Program::first_of_equal`] is known.
    pub(super) fn with_first_of_equal(program: &'p Program, first_of_equal: Vec<usize>) -> Self {
        Self { program, first_of_equal, accesses: BTreeMap::new(), known: BTreeMap::new() }
    }

    /// The program asked about.
    pub(super) fn program(&self) -> &'p Program {
        self.program
    }

    /// [`in_place_safe`] of parameters of a kernel of the program, by its number.
    ///
    /// # Errors
    /// As [`in_place_safe`].
    ///
    /// # Panics
    /// If the program has no such kernel.
    pub fn safe(&mut self, kernel: u32, read: u32, write: u32) -> Result<(), String> {
        let first = self.first_of_equal[kernel as usize];
        let kernel = &self.program.kernels[first];
        let accesses = &mut self.accesses;
        let prove = || {
            let accesses = accesses.entry(first).or_insert_with(|| accesses_of(kernel)).as_ref();
            accesses.map_err(String::clone).and_then(|accesses| prove_in_place(kernel, accesses, read, write))
        };
        self.known.entry((first, read, write)).or_insert_with(prove).clone()
    }
}

/// Whether parameter `write` may be bound to the memory of parameter `read`, both starting at one address: every element is loaded
/// through `read` before it is stored through `write`, whatever order iterations run in where they may.
///
/// For each pair of a load and a store it shows one of: they touch different elements altogether; or, in the loops around both, they
/// touch different elements in different iterations, and within one iteration the load comes first or they don't meet.
///
/// # Errors
/// Why that isn't shown, as a sentence.
pub fn in_place_safe(kernel: &Kernel, read: u32, write: u32) -> Result<(), String> {
    prove_in_place(kernel, &accesses_of(kernel)?, read, write)
}

fn accesses_of(kernel: &Kernel) -> Result<Accesses, String> {
    Accesses::of(kernel).map_err(|e| e.to_string())
}

fn prove_in_place(kernel: &Kernel, accesses: &Accesses, read: u32, write: u32) -> Result<(), String> {
    let size = |p: u32| kernel.params.get(p as usize).map(|p| p.dtype.size_bytes());
    if size(read).is_none() || size(read) != size(write) {
        return Err(format!("elements of p{read} and p{write} have different sizes"));
    }
    let of = |param: u32, store: bool| {
        accesses.all.iter().filter(move |a| a.buf == BufRef::Param(param) && a.is_store == store)
    };
    if of(read, true).next().is_some() {
        return Err(format!("p{read} is stored to, too"));
    }
    // Where each may touch anything at all tells most pairs apart.
    let with_reach = |access| (access, reach(access, accesses.types.ranges()));
    let stores: Vec<_> = of(write, true).map(with_reach).collect();
    for (load, loaded) in of(read, false).map(with_reach) {
        for (store, stored) in &stores {
            let apart = matches!((loaded, stored), (Some(a), Some(b)) if a.hi < b.lo || b.hi < a.lo);
            if !apart && !loads_first(accesses, load, store) {
                return Err(format!(
                    "`{}` of p{read} may be loaded after `{}` of p{write} is stored",
                    load.index, store.index
                ));
            }
        }
    }
    Ok(())
}

fn loads_first(accesses: &Accesses, load: &MemoryAccess, store: &MemoryAccess) -> bool {
    let ranges = accesses.types.ranges();
    if never_meet(load, store, ranges) {
        return true;
    }
    let shared: Vec<_> = load.loops.iter().zip(&store.loops).take_while(|(a, b)| a == b).map(|(a, _)| *a).collect();
    let first = load.path <= store.path && !(load.factor_of.is_some() && load.factor_of == store.sums_of);
    (first || apart(load, store, ranges) == Some(true)) && iterations_are_disjoint(accesses, &shared, load, store)
}

/// Whether the two touch different elements in one iteration of the loops that they share, where what both use has one value.
fn apart(load: &MemoryAccess, store: &MemoryAccess, ranges: &Ranges) -> Option<bool> {
    let mut distance = load.index.clone().checked_plus(store.index.offset().checked_neg()?)?;
    for &(var, c) in store.index.terms() {
        distance = distance.checked_plus_term(var, c.checked_neg()?)?;
    }
    let distance = distance.range(ranges)?.plus(load.around()?)?.plus(store.around()?.scale(-1)?)?;
    Some(distance.lo > 0 || distance.hi < 0)
}
