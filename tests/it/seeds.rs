//! The seeds that random tests draw, from the environment, and how a failing one is reported.
//!
//! `GRADC_RANDOM_GRAPHS=100000` makes a long run, `GRADC_RANDOM_SEED=5000000` starts at another seed than each test's own first. What fails says with which
//! of the two to draw it alone.

use passes::bisect::panic_message;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

const GRAPHS: &str = "GRADC_RANDOM_GRAPHS";
const SEED: &str = "GRADC_RANDOM_SEED";

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}={text:?} is no number: {e}")))
}

/// The seeds of a test that draws `count` from `first` on, unless the environment says something else.
fn seeds(first: u64, count: u64) -> Range<u64> {
    let first = number(SEED).unwrap_or(first);
    first..first + number(GRAPHS).unwrap_or(count)
}

/// Runs a check on each seed, past those that fail; gives how many checks had something to compare, which `check` says.
///
/// # Panics
/// If a check did: with the seeds that failed and the shortest message.
pub(crate) fn check_each(first: u64, count: u64, check: impl Fn(u64) -> bool) -> u64 {
    let (mut compared, mut faults) = (0, vec![]);
    let seeds = seeds(first, count);
    for seed in seeds.clone() {
        match catch_unwind(AssertUnwindSafe(|| check(seed))) {
            Ok(had_something) => compared += u64::from(had_something),
            Err(payload) => faults.push((seed, panic_message(payload.as_ref()))),
        }
    }
    let Some((seed, shortest)) = faults.iter().min_by_key(|(_, message)| message.len()) else { return compared };
    let failed: Vec<u64> = faults.iter().map(|(seed, _)| *seed).take(50).collect();
    panic!(
        "{} of {} seeds fail: {failed:?}\n{SEED}={seed} {GRAPHS}=1 draws the one with the shortest message:\n{shortest}",
        faults.len(),
        seeds.end - seeds.start
    );
}

/// As [`check_each`], where at least `least` of the test's own seeds must have something to compare; as large a part of others.
pub(crate) fn check_most(first: u64, count: u64, least: u64, check: impl Fn(u64) -> bool) {
    let compared = check_each(first, count, check);
    let seeds = seeds(first, count);
    let drawn = seeds.end - seeds.start;
    // Of few seeds all may be among those that have nothing.
    assert!(drawn < count || compared * count > drawn * least, "only {compared} of {drawn} had something to compare");
}

#[test]
fn all_failing_seeds_are_named() {
    if number(SEED).is_some() || number(GRAPHS).is_some() {
        return;
    }
    let panic = catch_unwind(|| check_each(10, 4, |seed| if seed > 11 { panic!("{seed} is wrong") } else { true }));
    let text = panic_message(panic.unwrap_err().as_ref());
    assert!(text.starts_with("2 of 4 seeds fail: [12, 13]\nGRADC_RANDOM_SEED=12 GRADC_RANDOM_GRAPHS=1 "), "{text}");
    assert_eq!(check_each(0, 10, |seed| seed % 2 == 0), 5);
}
