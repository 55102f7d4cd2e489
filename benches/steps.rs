//! Whole training steps: forward, backward, update, the loss read by the host.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gradc_cli::bench::{LoadedWorkload, WORKLOADS};

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("step");
    group.sample_size(20);
    for workload in WORKLOADS {
        let mut subject = LoadedWorkload::new(workload, 1).expect("the workload compiles");
        group.throughput(Throughput::Elements(workload.batch as u64));
        group.bench_function(workload.name, |b| b.iter(|| subject.step().expect("the step runs")));
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
