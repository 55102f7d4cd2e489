//! The worker pool's protocol (`embed/src/pool/slot.rs`, the very file) in all interleavings of a few threads, and all orders that the memory model
//! allows, as far as they take few preemptions (loom; Norris and Demsky, "CDSChecker", OOPSLA 2013; Musuvathi and Qadeer, "Iterative Context Bounding",
//! PLDI 2007).
//!
//! Each piece of a loop writes a cell of its own, which the forking thread reads afterwards: a piece that runs twice, not at all, or after the join, is
//! found, and so is a worker that sleeps though a job waits for it, since then nobody can go on.

#![allow(unsafe_code)]

mod pool;

fn explore(preemptions: usize, threads: usize, loops: usize, pieces: u32) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || pool::check(threads, loops, pieces));
}

#[test]
fn a_loop_of_two_threads() {
    explore(3, 2, 2, 2);
}

#[test]
fn loops_one_after_the_other() {
    explore(3, 2, 3, 1);
}

#[test]
fn a_loop_of_three_threads() {
    explore(2, 3, 1, 1);
}
