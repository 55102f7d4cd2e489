//! Losses where their parts meet, vanish or overflow, over masked sequences, and with settings that none can have. (Ordinary values are compared in `train/tests/reference.rs`.)

use super::*;
use crate::compile::CompileOptions;
use crate::dsl::{GraphBuilder, bool_, i32};
use crate::testing::{Runner, assert_close, constant, value};

const HUGE: f64 = 1e4;

/// Losses, and the gradient of their sum by the output.
fn with_gradient(
    dtype: DType,
    dims: &[usize],
    x: &[f64],
    loss: &dyn Fn(&GraphBuilder, &Tensor) -> Tensor,
) -> (Vec<f64>, Vec<f64>) {
    let spec = TypeSpec::new(dtype, dims);
    let g = GraphBuilder::new("test");
    let output = g.input("x", spec.clone());
    let losses = loss(&g, &output);
    g.output("loss", &losses);
    g.output("dx", &g.gradients(&losses.sum(), &[&output])[0]);
    let step = g.finish().unwrap_or_else(|e| panic!("{e}"));
    let out = Runner::new(&step).step(&[("x", value(spec, x))]);
    (out["loss"].to_f64_vec(), out["dx"].to_f64_vec())
}

/// The same in both types, which must give what is wanted.
fn check(dims: &[usize], x: &[f64], loss: &dyn Fn(&GraphBuilder, &Tensor) -> Tensor, want: &[f64], slopes: &[f64]) {
    for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
        let (found, gradient) = with_gradient(dtype, dims, x, loss);
        assert_close(&found, want, tolerance);
        assert_close(&gradient, slopes, tolerance);
    }
}

/// A constant in the element type of `x`.
fn like(x: &Tensor, dims: &[usize], elements: &[f64]) -> Tensor {
    constant(x.builder(), dims, elements).cast(x.dtype().unwrap())
}

#[test]
fn focal_losses_neither_overflow_nor_lose_their_slope() {
    for gamma in [0.0, 0.5, 1.0, 2.0] {
        let binary = |_: &GraphBuilder, x: &Tensor| {
            binary_focal_cross_entropy(x, like(x, &[4], &[1.0, 1.0, 0.0, 0.0]), gamma, None)
        };
        check(&[4], &[HUGE, -HUGE, HUGE, -HUGE], &binary, &[0.0, HUGE, HUGE, 0.0], &[0.0, -1.0, 1.0, 0.0]);
        let x = [HUGE, -HUGE, HUGE, -HUGE];
        let sparse = |g: &GraphBuilder, x: &Tensor| {
            sparse_focal_cross_entropy(x, g.constant(value(i32([2]), &[0.0, 1.0])), gamma)
        };
        check(&[2, 2], &x, &sparse, &[0.0, 2.0 * HUGE], &[0.0, 0.0, 1.0, -1.0]);
        let categorical = |_: &GraphBuilder, x: &Tensor| {
            categorical_focal_cross_entropy(x, like(x, &[2, 2], &[1.0, 0.0, 0.0, 1.0]), gamma)
        };
        check(&[2, 2], &x, &categorical, &[0.0, 2.0 * HUGE], &[0.0, 0.0, 1.0, -1.0]);
    }
}

#[test]
fn smoothed_and_counted_losses_stand_large_outputs() {
    let smoothed = |g: &GraphBuilder, x: &Tensor| {
        let loss = SparseCategoricalCrossEntropy.label_smoothing(0.5);
        loss.per_sample(x, &g.constant(value(i32([1]), &[0.0])))
    };
    check(&[1, 2], &[HUGE, -HUGE], &smoothed, &[0.25 * 2.0 * HUGE], &[0.25, -0.25]);
    let poisson = |_: &GraphBuilder, x: &Tensor| poisson_nll(x, like(x, &[3], &[0.0, 2.0, 0.0]), PoissonNll::default());
    check(&[3], &[-HUGE, -HUGE, 0.0], &poisson, &[0.0, 2.0 * HUGE, 1.0], &[0.0, -2.0, 1.0]);
    let full = PoissonNll { log_input: true, full: true };
    let counts = |_: &GraphBuilder, x: &Tensor| poisson_nll(x, like(x, &[2], &[0.0, 1.0]), full);
    check(&[2], &[0.0, 0.0], &counts, &[1.0, 1.0], &[1.0, 0.0]);
}

#[test]
fn equal_embeddings_give_no_gradient_but_where_there_is_one() {
    let pairs = |_: &GraphBuilder, x: &Tensor| Contrastive { margin: 2.0 }.per_sample(x, &like(x, &[2], &[1.0, 0.0]));
    check(&[2, 2, 2], &[0.5, -1.0, 0.5, -1.0, 3.0, 4.0, 3.0, 4.0], &pairs, &[0.0, 4.0], &[0.0; 8]);
    let triplet = |_: &GraphBuilder, x: &Tensor| triplet_margin(x, x, x, 0.5);
    check(&[1, 2], &[1.0, 2.0], &triplet, &[0.5], &[0.0, 0.0]);
    let positive = |_: &GraphBuilder, x: &Tensor| triplet_margin(x, x, like(x, &[1, 2], &[1.0, 5.0]), 4.0);
    check(&[1, 2], &[1.0, 2.0], &positive, &[1.0], &[0.0, 1.0]);
    let hard = |labels: [f64; 3]| {
        move |g: &GraphBuilder, x: &Tensor| {
            BatchHardTriplet::default().per_sample(x, &g.constant(value(i32([3]), &labels)))
        }
    };
    check(&[3, 1], &[2.0; 3], &hard([0.0, 0.0, 1.0]), &[1.0, 1.0, 0.0], &[0.0; 3]);
    // Nobody of another label, nobody of the same.
    check(&[3, 1], &[1.0, 2.0, 3.0], &hard([0.0; 3]), &[0.0; 3], &[0.0; 3]);
    check(&[3, 1], &[1.0, 2.0, 3.0], &hard([0.0, 1.0, 2.0]), &[0.0; 3], &[0.0; 3]);
}

#[test]
fn a_vector_of_zeros_has_no_direction_and_a_long_one_has_one() {
    let other = [1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 3.0, 4.0];
    let cosine = |_: &GraphBuilder, x: &Tensor| cosine_similarity(x, like(x, &[4, 2], &other));
    let x = [0.0, 0.0, 0.0, 0.0, 3e30, 4e30, -3e-30, -4e-30];
    for dtype in [DType::F32, DType::F64] {
        let (found, gradient) = with_gradient(dtype, &[4, 2], &x, &cosine);
        assert_close(&found, &[0.0, 0.0, 1.0, -1.0], 1e-6);
        assert_eq!(gradient[..4], [0.0; 4]);
        assert!(gradient.iter().all(|d| d.is_finite()), "{gradient:?}");
    }
    let pairs =
        |_: &GraphBuilder, x: &Tensor| CosineEmbedding { margin: 0.5 }.per_sample(x, &like(x, &[2], &[1.0, -1.0]));
    check(&[2, 2, 1], &[0.0, 0.0, 0.0, 7.0], &pairs, &[1.0, 0.0], &[0.0; 4]);
    let equal = |_: &GraphBuilder, x: &Tensor| CosineSimilarity.per_sample(x, x);
    check(&[2, 2], &[1.0, 2.0, 0.0, 0.0], &equal, &[-1.0, 0.0], &[0.0; 4]);
}

/// Losses of [`Ctc`] of one sample, with the gradient.
fn ctc(ctc: Ctc, time: usize, x: &[f64], labels: &[f64], lengths: [f64; 2]) -> (f64, Vec<f64>) {
    let loss = |g: &GraphBuilder, x: &Tensor| {
        let [inputs, counts] = lengths.map(|length| g.constant(value(i32([1]), &[length])));
        ctc.losses(x, g.constant(value(i32([1, labels.len()]), labels)), inputs, counts)
    };
    let (in_f32, _) = with_gradient(DType::F32, &[1, time, x.len() / time], x, &loss);
    let (found, gradient) = with_gradient(DType::F64, &[1, time, x.len() / time], x, &loss);
    assert!(in_f32 == found || (in_f32[0] - found[0]).abs() <= 1e-5 * found[0].abs().max(1.0), "{in_f32:?} {found:?}");
    (found[0], gradient)
}

#[test]
fn ctc_of_empty_labels_and_of_sequences_that_are_too_short() {
    let blanks = [1.0, 0.0, 0.0, 2.0];
    let log_p = |x: f64, y: f64| x - (x.exp() + y.exp()).ln();
    let (loss, gradient) = ctc(Ctc::new(1), 2, &blanks, &[1.0], [2.0, 0.0]);
    assert_close(&[loss], &[-log_p(1.0, 0.0) - log_p(0.0, 2.0)], 1e-14);
    assert_close(&gradient[..1], &[log_p(1.0, 0.0).exp() - 1.0], 1e-14);
    // Two equal labels need a blank between them: three steps.
    for (zero, want) in [(true, 0.0), (false, f64::INFINITY)] {
        let (loss, gradient) = ctc(Ctc::new(2).zero_infinity(zero), 2, &blanks, &[1.0, 1.0], [2.0, 2.0]);
        assert_eq!((loss, gradient), (want, vec![0.0; 4]));
        assert_eq!(ctc(Ctc::new(1).zero_infinity(zero), 2, &blanks, &[1.0], [0.0, 1.0]).0, want);
    }
    assert_eq!(ctc(Ctc::new(1), 2, &blanks, &[1.0], [0.0, 0.0]), (0.0, vec![0.0; 4]));
    let (loss, _) = ctc(Ctc::new(2), 3, &[0.0; 6], &[1.0, 1.0], [3.0, 2.0]);
    assert_close(&[loss], &[3.0 * 2f64.ln()], 1e-14);
}

#[test]
fn ctc_stands_large_logits_and_long_sequences() {
    let (loss, gradient) = ctc(Ctc::new(1), 2, &[HUGE, -HUGE, HUGE, -HUGE], &[1.0], [2.0, 1.0]);
    assert_close(&[loss], &[2.0 * HUGE - 2f64.ln()], 1e-12);
    assert_close(&gradient, &[0.5, -0.5, 0.5, -0.5], 1e-12);
    let (loss, gradient) = ctc(Ctc::new(1), 2, &[-HUGE, HUGE, -HUGE, HUGE], &[1.0], [2.0, 1.0]);
    assert_eq!((loss, gradient), (0.0, vec![0.0; 4]));
    // Of 1000 steps, of two classes alike: paths are choices of a run of labels, of which there are 1000 * 1001 / 2.
    let (loss, gradient) = ctc(Ctc::new(1), 1000, &[0.0; 2000], &[1.0], [1000.0, 1.0]);
    assert_close(&[loss], &[1000.0 * 2f64.ln() - 500_500f64.ln()], 1e-12);
    assert!(gradient.iter().all(|d| d.is_finite()));
}

#[test]
fn ctc_is_a_program_of_one_size_whatever_the_length() {
    // The nodes of the graph with gradients, the kernels, and the bytes of their code.
    let size = |time: usize| {
        let g = GraphBuilder::new("test");
        let x = g.input("x", crate::dsl::f32([4, time, 9]));
        let loss = Ctc::new(5).per_sample(&x, &g.input("y", i32([4, 5]))).mean();
        g.output("dx", &g.gradients(&loss, &[&x])[0]);
        let step = g.finish().unwrap();
        let program = step.compile(&CompileOptions::threads(1)).unwrap();
        let kernels = &program.report().kernels;
        let bytes: usize = kernels.iter().map(|kernel| kernel.code_bytes).sum();
        println!("{time} steps: compiled in {:?}, {bytes} bytes of code", program.report().total_time);
        (Runner::new(&step).nodes(), kernels.len(), bytes)
    };
    let (short, long) = (size(100), size(2000));
    assert_eq!((short.0, short.1), (long.0, long.1));
    assert!(long.2 < short.2 + short.2 / 4, "{} bytes of code grow to {}", short.2, long.2);
}

#[test]
fn ctc_takes_its_lengths_from_masks_and_from_what_fills_labels() {
    let x = crate::testing::random(3, 2 * 4 * 3);
    let of = |filler: f64, masked: bool| {
        let loss = |g: &GraphBuilder, x: &Tensor| {
            let labels = g.constant(value(i32([2, 3]), &[2.0, filler, filler, 1.0, 2.0, filler]));
            let lengths = [[4.0, 2.0], [1.0, 2.0]].map(|lengths| g.constant(value(i32([2]), &lengths)));
            match masked {
                true => {
                    let mask = g.constant(value(bool_([2, 4]), &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]));
                    Ctc::new(3).per_sample(&x.with_mask(&mask), &labels)
                }
                false => Ctc::new(3).losses(x, &labels, &lengths[0], &lengths[1]),
            }
        };
        with_gradient(DType::F64, &[2, 4, 3], &x, &loss)
    };
    assert_eq!(of(0.0, true), of(0.0, false));
    assert_eq!(of(-1.0, true), of(0.0, false));
}

/// Sequences of 6 steps in which classes 1 and 2 show for a while each, in either order: only their order is told, not when.
#[test]
fn ctc_learns_labels_without_their_places() {
    use crate::prelude::*;
    let n = 24;
    let class = |sample: usize, step: usize| match (step, step < 2 + sample % 3) {
        (5, _) => 0,
        (_, first) => 1 + (usize::from(first) + sample / 3) % 2,
    };
    let mut x = vec![0.0f32; n * 6 * 3];
    (0..n * 6).for_each(|i| x[3 * i + class(i / 6, i % 6)] = 1.0);
    let labels = (0..n).flat_map(|i| [class(i, 0) as i32, class(i, 4) as i32, -1]).collect();
    let data = Dataset::new(array([n, 6, 3], x).unwrap(), array([n, 3], labels).unwrap());
    let trainer = Sequential::new([6, 3]).dense(3).compile(Adam::new(0.1), Ctc::new(3), []).unwrap();
    let mut trainer = trainer.with_options(CompileOptions::threads(1)).unwrap();
    let history = trainer.fit(&data.unwrap(), Fit::epochs(40).batch(5).silent()).unwrap();
    let losses = history.get("loss");
    assert!(losses[39] < 0.1 * losses[0], "{losses:?}");
}

/// Each loss of sequences: with its output `[1, time, 2]`, and the target of these steps.
type SequenceLoss = (Box<dyn Loss>, Vec<f64>);

#[test]
fn steps_that_a_mask_leaves_out_count_in_no_loss() {
    let labels = || vec![1.0, 0.0, 1.0];
    let shares = || vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
    let losses: Vec<SequenceLoss> = vec![
        (Box::new(BinaryFocalCrossEntropy::default()), shares()),
        (Box::new(SparseCategoricalFocalCrossEntropy::default()), labels()),
        (Box::new(CategoricalFocalCrossEntropy::default()), shares()),
        (Box::new(SparseCategoricalCrossEntropy.label_smoothing(0.1)), labels()),
        (Box::new(CategoricalCrossEntropy.label_smoothing(0.1)), shares()),
        (Box::new(BinaryCrossEntropy.label_smoothing(0.1)), shares()),
        (Box::new(CategoricalCrossEntropy.from_probabilities().label_smoothing(0.1)), shares()),
        (Box::new(NegativeLogLikelihood), labels()),
        (Box::new(PoissonNll::default()), shares()),
        (Box::new(CosineSimilarity), shares()),
    ];
    for (loss, target) in losses {
        let of = |x: &[f64], steps: usize| {
            let function = |g: &GraphBuilder, x: &Tensor| {
                let mask: Vec<f64> = (0..steps).map(|step| f64::from(u8::from(step < 2))).collect();
                let spec = loss.target(&x.ty().unwrap());
                let target = &target[..spec.dims.iter().product()];
                let mask = g.constant(value(bool_([1, steps]), &mask));
                loss.per_sample(&x.with_mask(&mask), &g.constant(value(spec, target)))
            };
            with_gradient(DType::F64, &[1, steps, 2], x, &function)
        };
        let (masked, gradient) = of(&[0.3, 0.6, 0.8, 0.1, 0.9, 0.7], 3);
        let (short, slopes) = of(&[0.3, 0.6, 0.8, 0.1], 2);
        assert_close(&masked, &short, 1e-14);
        assert_close(&gradient, &[slopes, vec![0.0, 0.0]].concat(), 1e-14);
    }
}

/// Losses of an output.
type LossOf<'f> = &'f dyn Fn(&GraphBuilder, &Tensor) -> Tensor;

/// Values that 16 bits hold, so that what differs is the loss's own rounding.
#[test]
fn losses_of_16_bit_outputs_are_near_those_of_64() {
    let labels = |g: &GraphBuilder| g.constant(value(i32([1, 4]), &[2.0, 0.0, 1.0, 2.0]));
    let losses: [(&str, LossOf<'_>); 5] = [
        ("focal", &|g, x| SparseCategoricalFocalCrossEntropy::default().per_sample(x, &labels(g))),
        ("smoothed", &|g, x| SparseCategoricalCrossEntropy.label_smoothing(0.25).per_sample(x, &labels(g))),
        ("ctc", &|g, x| Ctc::new(2).per_sample(x, &g.constant(value(i32([1, 2]), &[2.0, 1.0])))),
        ("cosine", &|_, x| CosineSimilarity.per_sample(x, &(x + 1.0))),
        ("poisson", &|_, x| PoissonNll::default().per_sample(x, &x.abs())),
    ];
    let x = [0.5, -1.0, 2.0, 1.5, 0.25, -0.75, -2.0, 3.0, 1.0, 0.0, 4.0, -0.5];
    for (name, loss) in losses {
        let (want, slopes) = with_gradient(DType::F64, &[1, 4, 3], &x, loss);
        for (dtype, tolerance) in [(DType::Bf16, 0.03), (DType::F16, 0.004)] {
            let (found, gradient) = with_gradient(dtype, &[1, 4, 3], &x, loss);
            let pairs = found.iter().zip(&want).chain(gradient.iter().zip(&slopes));
            for (found, want) in pairs {
                assert!(
                    (found - want).abs() <= tolerance * want.abs().max(1.0),
                    "{name} in {dtype}: {found}, not {want}"
                );
            }
        }
    }
}

#[test]
fn settings_that_no_loss_can_have_are_refused() {
    for bad in [f64::NAN, -0.1, f64::INFINITY] {
        let least = if bad == f64::INFINITY { 0.0 } else { bad };
        let losses: Vec<Box<dyn Loss>> = vec![
            Box::new(BinaryFocalCrossEntropy { gamma: bad, alpha: None }),
            Box::new(BinaryFocalCrossEntropy { gamma: 2.0, alpha: Some(bad) }),
            Box::new(SparseCategoricalFocalCrossEntropy { gamma: bad }),
            Box::new(CategoricalFocalCrossEntropy { gamma: bad }),
            Box::new(SparseCategoricalCrossEntropy.label_smoothing(bad)),
            Box::new(BatchHardTriplet { margin: bad }),
            Box::new(CosineEmbedding { margin: 20.0 * bad }),
            Box::new(Contrastive { margin: least }),
            Box::new(Huber { delta: least }),
        ];
        for loss in losses {
            let g = GraphBuilder::new("test");
            let is_pair = ["cosine_embedding", "contrastive"].contains(&loss.name());
            let x = g.zeros(crate::dsl::f32(if is_pair { vec![3, 2, 2] } else { vec![3, 2] }));
            let target = g.zeros(loss.target(&x.ty().unwrap()));
            let _ = loss.per_sample(&x, &target);
            let error = g.finish().unwrap_err().to_string();
            assert!(error.contains("must be"), "{}: {error}", loss.name());
        }
    }
}

#[test]
fn a_setting_is_refused_at_the_line_that_compiles_a_model_with_it() {
    use crate::prelude::{Compile, Sequential, Sgd};
    let line = line!() + 1;
    let trainer = Sequential::new([2]).dense(2).compile(Sgd::new(0.1), Huber { delta: -1.0 }, []);
    let error = trainer.unwrap_err().to_string();
    assert!(error.contains(&format!("{}:{line}:", file!())) && error.contains("delta must be above 0"), "{error}");
}

#[test]
fn shapes_that_no_loss_can_have_are_refused() {
    let refused = |loss: &dyn Loss, output: &[usize], target: TypeSpec| {
        let g = GraphBuilder::new("test");
        let _ = loss.per_sample(&g.zeros(crate::dsl::f32(output)), &g.zeros(target));
        g.finish().unwrap_err().to_string()
    };
    let floats = |dims: &[usize]| TypeSpec::new(DType::F32, dims);
    for (loss, output, target, says) in [
        (
            &Contrastive::default() as &dyn Loss,
            &[4, 3][..],
            floats(&[4]),
            "the output must be [batch, 2, width], not [4,3]",
        ),
        (&CosineEmbedding::default(), &[4, 2, 3], floats(&[4, 1]), "must have one shape, not [4] and [4,1]"),
        (&BatchHardTriplet::default(), &[4, 3], floats(&[4]), "labels integers [batch]"),
        (&NegativeLogLikelihood, &[4, 3], floats(&[4]), "labels must be i32 or i64, not f32"),
        (&Ctc::new(3), &[4, 3], i32([4, 3]), "logits must be floats [batch, time, classes]"),
        (&Ctc::new(3), &[4, 9, 3], i32([2, 3]), "labels must be i32[4, n], not i32[2,3]"),
        (&Ctc::new(3).blank(3), &[4, 9, 3], i32([4, 3]), "the blank must be one of 3 classes, not 3"),
    ] {
        let error = refused(loss, output, target);
        assert!(error.contains(says), "{}: {error}", loss.name());
    }
}
