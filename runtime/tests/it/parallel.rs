//! Threads: the same bits at any number of them, no allocation, checks from any of them.

use crate::support::{load_with, program};

/// Rows of sums of products: enough work to be forked.
fn rows(n: usize) -> String {
    let total = n * 512;
    format!(
        "program \"rows\" b0: f32[{total}] input \"x\" b1: f32[{n}] output \"y\" b2: state f32_placeholder
        check #0 \"bad\"
        kernel rows(p0: read f32[{total}], p1: write f32[{n}]) {{
          local l0: f32[512]
          parallel i0 in 0..{n} {{
            for i1 in 0..512 {{ store l0[i1] = mul(load p0[i0*512 + i1], 1.0625f32) }}
            var v0 = splat.x4(0.0f32)
            vector i2 in 0..128 {{ v0 add= load.x4 l0[i2*4] }}
            store p1[i0] = fold add(v0)
          }}
        }} launch rows(b0, b1)"
    )
    .replace(" b2: state f32_placeholder", "")
}

fn noise(n: usize) -> Vec<f32> {
    let mut state = 12345u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0 - 0.5
        })
        .collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let n = 131;
    let x = noise(n * 512);
    let mut expected: Option<Vec<u32>> = None;
    for threads in [1, 2, 3, 5] {
        let mut executable = load_with(program(&rows(n)), threads);
        assert_eq!(executable.threads(), threads);
        executable.write_input("x", &x).unwrap();
        for _ in 0..50 {
            executable.step().unwrap();
            let bits: Vec<u32> = executable.output::<f32>("y").unwrap().iter().map(|v| v.to_bits()).collect();
            assert_eq!(expected.get_or_insert_with(|| bits.clone()), &bits, "{threads} threads");
            executable.input_mut::<f32>("x").unwrap()[0] = x[0];
        }
    }
    let y: Vec<f32> = expected.unwrap().into_iter().map(f32::from_bits).collect();
    for (row, &found) in y.iter().enumerate() {
        let mut lanes = [0.0f32; 4];
        for (at, &v) in x[row * 512..(row + 1) * 512].iter().enumerate() {
            lanes[at % 4] += v * 1.0625;
        }
        assert_eq!(found, (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]), "row {row}");
    }
}

#[test]
fn a_check_that_fails_on_a_worker_is_reported_and_the_pool_goes_on() {
    let n = 4096;
    let text = format!(
        "program \"worker\" b0: i32[{n}] input \"i\" b1: f32[{n}] output \"y\"
        check #0 \"first\" check #1 \"second\"
        kernel k(p0: read i32[{n}], p1: write f32[{n}]) {{
          parallel i0 in 0..{n} {{
            let i1 = checked(load p0[i0], {n}, #1)
            for i2 in 0..20 {{ store p1[i0] = cast(index i1 + i2 : i32 : f32) }}
          }}
        }} launch k(b0, b1)"
    );
    let mut executable = load_with(program(&text), 2);
    for round in 0..20 {
        executable.input_mut::<i32>("i").unwrap()[n - 1] = -1;
        assert_eq!(executable.step().unwrap_err().message, "second", "round {round}");
        executable.input_mut::<i32>("i").unwrap()[n - 1] = 5;
        executable.step().unwrap();
        assert_eq!(executable.output::<f32>("y").unwrap()[n - 1], 24.0);
    }
}

#[test]
fn no_wake_up_is_lost_between_many_forks() {
    // More threads than processors: they are suspended at every point of the hand-over.
    let mut executable = load_with(program(&rows(64)), 6);
    for round in 0..3000 {
        executable.step().unwrap();
        if round % 100 == 0 {
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
    }
}

#[test]
fn a_trace_has_every_launch_and_the_share_of_each_thread() {
    // One launch that is worth sharing, one that isn't.
    let text = rows(256).replace(
        "launch rows(b0, b1)",
        "kernel twice(p0: read f32[256], p1: write f32[256]) {
          for i0 in 0..256 { store p1[i0] = add(load p0[i0], load p0[i0]) }
        }
        launch rows(b0, b1) launch twice(b1, b2)",
    );
    let text = text.replace("check #0", "b2: f32[256] output \"z\" check #0");
    let mut executable = load_with(program(&text), 2);
    executable.write_input("x", &noise(256 * 512)).unwrap();
    let steps = executable.trace(3).unwrap();
    assert_eq!(steps.len(), 3);
    let mut end = std::time::Duration::ZERO;
    for step in &steps {
        // Each thread's share is in four pieces, which either may have run.
        assert_eq!(step.iter().map(|span| (span.launch, span.parts.len())).collect::<Vec<_>>(), [(0, 8), (1, 1)]);
        assert!(step[0].parts.iter().all(|part| part.thread < 2));
        for span in step {
            assert!(end <= span.start && span.start <= span.end);
            assert!(span.parts.iter().all(|part| span.start <= part.start && part.end <= span.end));
            end = span.end;
        }
    }
    let y = executable.output::<f32>("y").unwrap().to_vec();
    let z = executable.output::<f32>("z").unwrap();
    assert!(y.iter().zip(z).all(|(y, z)| y + y == *z) && y[255] != 0.0);
}

#[test]
fn steps_of_several_threads_at_once_agree() {
    let n = 97;
    let x = noise(n * 512);
    let run = |threads: usize, steps: usize| {
        let mut executable = load_with(program(&rows(n)), threads);
        executable.write_input("x", &x).unwrap();
        let mut found = Vec::new();
        for _ in 0..steps {
            executable.step().unwrap();
            found.push(executable.output::<f32>("y").unwrap().iter().map(|v| v.to_bits()).collect::<Vec<u32>>());
        }
        assert!(found.iter().all(|bits| *bits == found[0]), "{threads} threads");
        found.swap_remove(0)
    };
    let alone = run(1, 1);
    std::thread::scope(|scope| {
        let users: Vec<_> = (0..4).map(|user| scope.spawn(move || run(2 + user % 3, 200))).collect();
        users.into_iter().for_each(|user| assert_eq!(user.join().unwrap(), alone));
    });
}

#[test]
fn sleeping_workers_are_woken() {
    let n = 64;
    let x = noise(n * 512);
    let mut executable = load_with(program(&rows(n)), 3);
    executable.write_input("x", &x).unwrap();
    executable.step().unwrap();
    let want = executable.output::<f32>("y").unwrap().to_vec();
    for pause in [0, 50, 150, 1000, 3000] {
        std::thread::sleep(std::time::Duration::from_micros(pause));
        executable.step().unwrap();
        assert_eq!(executable.output::<f32>("y").unwrap(), want);
    }
}
