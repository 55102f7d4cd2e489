//! Workers that wait for the next step leave the processors to others. Without the test harness, whose threads use processor time too.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use kernel::Program;
use runtime::{Executable, LoadOptions};
use std::time::Duration;

/// Processor time that this process has used so far, in hundredths of a second; `None` where the system doesn't say.
fn ticks_used() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the program's name, in brackets, come the state and eleven other fields, then the times of the process and of the system for it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn main() {
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    if asked("--list") {
        return if !asked("--ignored") {
            println!("idle_workers_sleep: test")
        };
    }
    let text = "program \"steps\" b0: f32[65536] state \"w\"
        kernel grow(p0: readwrite f32[65536]) {
          parallel i0 in 0..64 { vector i1 in 0..256 {
            store p0[i0*1024 + i1*4] = add(load.x4 p0[i0*1024 + i1*4], splat.x4(1.0f32))
          } }
        }
        launch grow(b0)";
    let mut program: Program = text.parse().unwrap();
    program.arena_bytes = Some(0);
    let options = LoadOptions { threads: 4, ..LoadOptions::default() };
    let mut executable = Executable::load(program, &options).unwrap();
    for _ in 0..100 {
        executable.step().unwrap();
    }
    // They may look for work for a moment after the last step.
    std::thread::sleep(Duration::from_millis(100));
    let Some(before) = ticks_used() else { return };
    std::thread::sleep(Duration::from_secs(1));
    let used = ticks_used().unwrap() - before;
    // Three workers that didn't sleep would use up to 300, and 100 on a single processor.
    assert!(used <= 10, "idle workers used {used} hundredths of a second of processor time in a second");
    executable.step().unwrap();
}
