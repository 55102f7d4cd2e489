//! What it costs to hand a loop to all threads and to wait for them: our pool beside rayon's `join` and `broadcast` with as many threads, and
//! beside calling the loop's parts one after the other. The loop does nothing.
//!
//! `cargo bench --bench dispatch -- [THREADS]`; pin it to as many processors by `taskset`.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long each way is timed.
const TIME: Duration = Duration::from_secs(1);
/// Calls that are timed together.
const CALLS: u32 = 20;

/// The median and the least time of a call.
fn time(mut call: impl FnMut()) -> (Duration, Duration) {
    let begun = Instant::now();
    let mut times = vec![];
    while begun.elapsed() < TIME {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        times.push(start.elapsed() / CALLS);
    }
    times.sort_unstable();
    (times[times.len() / 2], times[0])
}

fn row(name: &str, (median, best): (Duration, Duration)) {
    println!("| {name} | {:.2} | {:.2} |", median.as_secs_f64() * 1e6, best.as_secs_f64() * 1e6);
}

fn main() {
    // Cargo adds `--bench`.
    let threads = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(2);
    println!("| way, {threads} threads | median, us | best, us |\n|---|---:|---:|");
    row(
        "one after the other",
        time(|| {
            (0..threads).for_each(|part| {
                black_box(part);
            })
        }),
    );
    let ours = runtime::fork_join(threads, TIME).expect("threads are to be had");
    row("gradc's pool", (ours.median, ours.best));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads are to be had");
    row(
        "rayon, broadcast from inside",
        pool.install(|| time(|| drop(rayon::broadcast(|context| black_box(context.index()))))),
    );
    row(
        "rayon, join from inside",
        pool.install(|| time(|| assert_eq!(rayon::join(|| black_box(0), || black_box(1)), (0, 1)))),
    );
    row("rayon, install and broadcast", time(|| drop(pool.broadcast(|context| black_box(context.index())))));
}
