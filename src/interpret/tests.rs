//! Explanations of functions whose explanation is known.

use super::*;
use crate::dsl::{f64, i32};
use crate::model::{Functional, LanguageModel, Sequential};
use crate::nn::{Activation, Dense};
use crate::testing::{Runner, assert_close, random, value};

fn linear() -> Sequential {
    Sequential::of(f64([4])).dense(3)
}

#[test]
fn the_gradient_of_a_linear_model_is_its_weights() {
    let mut runner = Runner::new(&saliency_graph(&linear(), 2).unwrap());
    let kernel = runner.state("dense/kernel");
    let x = random(1, 8);
    let out = runner.step(&[("x", value(f64([2, 4]), &x)), ("class", value(i32([2]), &[2.0, 0.0]))]);
    let column = |c: usize| (0..4).map(|i| kernel[i * 3 + c]).collect::<Vec<f64>>();
    assert_close(&out["saliency"].to_f64_vec(), &[column(2), column(0)].concat(), 1e-14);
    let scores = [(0, 2), (4, 0)].map(|(at, c)| column(c).iter().zip(&x[at..]).map(|(w, x)| w * x).sum::<f64>());
    assert_close(&out["score"].to_f64_vec(), &scores, 1e-14);
    let bad = runner.try_step(&[("x", value(f64([2, 4]), &x)), ("class", value(i32([2]), &[3.0, 0.0]))]);
    assert!(bad.unwrap_err().contains("index 3 is out of range"));
}

#[test]
fn integrated_gradients_sum_to_the_difference_of_scores() {
    let model = Sequential::of(f64([4])).add(Dense::new(5).activation(Activation::Tanh)).dense(3).softmax();
    let inputs = |x: &[f64]| {
        [
            ("x", value(f64([1, 4]), x)),
            ("baseline", value(f64([1, 4]), &[0.1, -0.2, 0.0, 0.3])),
            ("class", value(i32([1]), &[1.0])),
        ]
    };
    let x = [1.5, -1.0, 0.5, 2.0];
    let error = |steps: usize| {
        let out = Runner::new(&integrated_gradients_graph(&model, steps).unwrap()).step(&inputs(&x));
        let sum: f64 = out["attribution"].to_f64_vec().iter().sum();
        let scores = ["score", "baseline_score"].map(|name| out[name].to_f64_vec()[0]);
        (sum - (scores[0] - scores[1])).abs()
    };
    let (coarse, fine) = (error(8), error(64));
    // The midpoint rule's error falls with the square of the number of steps.
    assert!(fine < 1e-4 && fine < coarse / 16.0, "{coarse:e}, {fine:e}");
    let out = Runner::new(&integrated_gradients_graph(&linear(), 1).unwrap());
    let kernel = out.state("dense/kernel");
    let mut out = out;
    let attribution = out.step(&inputs(&x))["attribution"].to_f64_vec();
    let want: Vec<f64> = [1.4, -0.8, 0.5, 1.7].iter().enumerate().map(|(i, d)| d * kernel[i * 3 + 1]).collect();
    assert_close(&attribution, &want, 1e-13);
}

#[test]
fn occlusion_lowers_the_score_by_what_it_covers() {
    // The score of class 0 is the sum of the image, that of class 1 its negative.
    let model = Functional::new(f64([3, 4, 1]), |x| {
        let sum = x.sum_axes([1, 2]);
        sum.concat(&[&(-&sum)], 1)
    });
    let occlusion = Occlusion { size: 2, stride: 1, fill: 0.0 };
    let mut runner = Runner::new(&occlusion_graph(&model, occlusion).unwrap());
    let pixels = random(5, 12);
    let out = runner.step(&[("x", value(f64([1, 3, 4, 1]), &pixels)), ("class", value(i32([1]), &[1.0]))]);
    let covered = |y: usize, x: usize| {
        -(pixels[y * 4 + x] + pixels[y * 4 + x + 1] + pixels[y * 4 + x + 4] + pixels[y * 4 + x + 5])
    };
    let want: Vec<f64> = (0..6).map(|i| covered(i / 3, i % 3)).collect();
    assert_eq!(out["drop"].ty().shape.dims(), [2, 3]);
    assert_close(&out["drop"].to_f64_vec(), &want, 1e-13);
    let error = occlusion_graph(&model, Occlusion { size: 5, ..occlusion }).unwrap_err().to_string();
    assert!(error.contains("no place in an image of 3 by 4"), "{error}");
}

#[test]
fn attention_maps_are_rows_of_shares() {
    let model = LanguageModel::new(5, 4).width(4).heads(2).layers(2);
    let step = attention_graph(&model, 1).unwrap();
    let mut runner = Runner::new(&step);
    let out = runner.step(&[("x", value(i32([1, 4]), &[3.0, 1.0, 4.0, 0.0]))]);
    for layer in ["transformer_block", "transformer_block_1"] {
        let map = &out[&format!("{layer}/attention/weights")];
        assert_eq!(map.ty().shape.dims(), [1, 2, 4, 4]);
        for (i, row) in map.to_f64_vec().chunks(4).enumerate() {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{row:?}");
            assert!(row[i % 4 + 1..].iter().all(|w| *w == 0.0), "{row:?} looks ahead");
        }
    }
    assert!(attention_graph(&linear(), 1).unwrap_err().to_string().contains("no attention layer"));
    // An output that is called as if it were one is none.
    let named_so = Functional::new(f64([4]), |x| {
        x.builder().output("pool/weights", x);
        x.clone()
    });
    assert!(attention_graph(&named_so, 1).unwrap_err().to_string().contains("no attention layer"));
    let error = saliency_graph(&model, 1).unwrap_err().to_string();
    assert!(error.contains("tokens have no gradient"), "{error}");
}

#[test]
fn pictures_are_colours_of_numbers() {
    let grey = Picture::of(&[0.0, 5.0, 10.0, f64::NAN, 1.0], 2, Palette::Grey);
    assert_eq!((grey.width, grey.height), (2, 2));
    assert_eq!(grey.rgb, [0, 0, 0, 128, 128, 128, 255, 255, 255, 0, 0, 0]);
    let signed = Picture::of(&[2.0, -1.0, 0.0], 3, Palette::Signed);
    assert_eq!(signed.rgb, [255, 0, 0, 128, 128, 255, 255, 255, 255]);
    let wide = signed.enlarged(2);
    assert_eq!((wide.width, wide.height, &wide.rgb[6..9]), (6, 2, &[128, 128, 255][..]));
    let both = signed.beside(&grey, 1);
    assert_eq!((both.width, both.height, both.rgb.len()), (6, 2, 36));
    assert_eq!(&both.rgb[9..15], &[255, 255, 255, 0, 0, 0]);
    let tower = signed.above(&grey, 1);
    assert_eq!((tower.width, tower.height, tower.rgb.len()), (3, 4, 36));
    assert_eq!(&tower.rgb[18..], [0, 0, 0, 128, 128, 128, 255, 255, 255, 255, 255, 255, 0, 0, 0, 255, 255, 255]);
    assert!(Picture::of(&[1.0], 0, Palette::Grey).rgb.is_empty());
}
