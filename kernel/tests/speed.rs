//! The interpreter's speed: a training step of a small convolution network must stay a matter of seconds.

use kernel::eval::{Machine, Tensors};
use kernel::{Data, Program};
use std::time::{Duration, Instant};

/// 32 million multiply-adds in tiles, 2.5 million elements through ten ops. Measured: two seconds on a busy
/// machine; the limit is for slower ones, and still catches an interpreter that allocates for each element.
#[test]
fn a_step_takes_seconds() {
    let text = "program \"p\"
b0: f32[200000] input \"a\"
b1: f32[51200] input \"b\"
b2: f32[80000] output \"c\"
b3: f32[50000] output \"d\"
kernel gemm(p0: read f32[200000], p1: read f32[51200], p2: write f32[80000]) {
  parallel i0 in 0..125 {
    for i1 in 0..10 {
      micro 8x8 a=p0[i0*1600] stride 200, b=p1[i1*8], reduce=[(200, 1, 80)], i=i2, j=i3, acc=v0 {
        store p2[i0*640 + i1*8 + i2*80 + i3] = v0
      }
    }
  }
}
kernel map(p0: read f32[200000], p1: write f32[50000]) {
  for i0 in 0..50 {
    for i1 in 0..50000 {
      let v0 = load p0[i1]
      let v1 = fma(v0, 2.0f32, 1.0f32)
      let v2 = max(mul(v1, v1), sub(v0, v1))
      store p1[i1] = select(lt(v2, 0.5f32), neg(v2), add(v2, v0))
    }
  }
}
launch gemm(b0, b1, b2)
launch gemm(b0, b1, b2)
launch map(b0, b3)";
    let program: Program = text.parse().unwrap();
    let mut machine = Machine::new(&program).unwrap();
    let ramp = |n: usize| Data::F32((0..n).map(|i| (i % 17) as f32).collect());
    let inputs = Tensors::from([("a".into(), ramp(200_000)), ("b".into(), ramp(51_200))]);
    let start = Instant::now();
    let outputs = machine.run(&inputs).unwrap();
    let took = start.elapsed();
    let expected: f32 = (0..200).map(|r| ((r % 17) * (r * 80 % 17)) as f32).sum();
    assert_eq!(outputs["c"].get(0).as_f64(), f64::from(expected));
    assert!(took < Duration::from_secs(20), "{took:?}");
}
