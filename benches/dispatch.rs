//! What it costs to hand a loop to all threads and to wait for them: our pool beside rayon's `join` and `broadcast` with as many threads, and
//! beside calling the loop's parts one after the other. The loop has a part for each thread: one that does nothing, which the caller may have done
//! alone before any other thread looks, and one of some microseconds, which is done soonest if all take part at once.
//!
//! `cargo bench --bench dispatch -- [THREADS]`; pin it to as many processors by `taskset`.

#![allow(clippy::print_stdout)]

use runtime::spin;
use std::time::{Duration, Instant};

/// How long each way is timed.
const TIME: Duration = Duration::from_millis(500);
/// Calls that are timed together.
const CALLS: u32 = 20;
/// What a part takes.
const WORK: [Duration; 2] = [Duration::ZERO, Duration::from_micros(5)];

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

/// A row: the median and the least time for each kind of part.
fn row(name: &str, measure: impl Fn(Duration) -> (Duration, Duration) + Sync) {
    let cells = WORK.map(|work| {
        let (median, best) = measure(work);
        format!("{:.2} | {:.2}", median.as_secs_f64() * 1e6, best.as_secs_f64() * 1e6)
    });
    println!("| {name} | {} |", cells.join(" | "));
}

/// `rayon::join`, once for every part but the first.
fn join(parts: usize, work: Duration) {
    match parts {
        0 => {}
        1 => spin(work),
        _ => {
            rayon::join(|| spin(work), || join(parts - 1, work));
        }
    }
}

fn main() {
    // Cargo adds `--bench`.
    let threads: usize = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(2);
    println!("| way, {threads} threads | nothing: median, us | best, us | 5 us a part: median, us | best, us |");
    println!("|---|---:|---:|---:|---:|");
    row("one after the other", |work| time(|| (0..threads).for_each(|_| spin(work))));
    row("gradc's pool", |work| {
        let ours = runtime::fork_join(threads, work, TIME).expect("threads are to be had");
        (ours.median, ours.best)
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads are to be had");
    row("rayon, broadcast from inside", |work| pool.install(|| time(|| drop(rayon::broadcast(|_| spin(work))))));
    row("rayon, join from inside", |work| pool.install(|| time(|| join(threads, work))));
    row("rayon, install and broadcast", |work| time(|| drop(pool.broadcast(|_| spin(work)))));
}
