//! Layers that change images: what they keep, what they change, each image by itself, and nothing outside of training.

use super::*;
use crate::dsl::{GraphBuilder, f32, f64};
use crate::nn::{Interpolation, Layer};
use crate::testing::{Runner, value};
use ir::Value;

const DIMS: [usize; 4] = [64, 4, 6, 2];

/// Images whose elements all differ, from 0 to 1.
fn images() -> Value {
    let ty = f32(DIMS).check().unwrap();
    let n = ty.shape.numel() as f64;
    Value::from_fn(ty, |i| ir::Scalar::F32((i as f64 / n) as f32))
}

/// What a layer makes of the images in a step.
fn changed(layer: &impl Layer, training: bool) -> Vec<f64> {
    let g = GraphBuilder::new("augment");
    g.set_training(training);
    g.output("y", &layer.apply(&g.input("x", f32(DIMS))));
    let step = g.finish().unwrap_or_else(|e| panic!("{e}"));
    Runner::new(&step).step(&[("x", images())])["y"].to_f64_vec()
}

fn image_of(all: &[f64], i: usize) -> &[f64] {
    let size = DIMS[1..].iter().product::<usize>();
    &all[i * size..(i + 1) * size]
}

/// Where each element comes from, about the middle: how its place down and right changes by a step down and a step right, of each of 64 images.
fn origins(layer: &impl Layer) -> Vec<[[f64; 2]; 2]> {
    const SIDE: usize = 21;
    let ty = f32([64, SIDE, SIDE, 2]).check().unwrap();
    let place = |i: usize| [i / 2 / SIDE % SIDE, i / 2 % SIDE][i % 2] as f32;
    let images = Value::from_fn(ty.clone(), |i| ir::Scalar::F32(place(i)));
    let g = GraphBuilder::new("origins");
    g.set_training(true);
    g.output("y", &layer.apply(&g.input("x", f32([64, SIDE, SIDE, 2]))));
    let y = Runner::new(&g.finish().unwrap()).step(&[("x", images)])["y"].to_f64_vec();
    let at = |image: usize, down: usize, right: usize, channel: usize| {
        y[((image * SIDE + down) * SIDE + right) * 2 + channel]
    };
    let middle = SIDE / 2;
    let of = |image: usize| {
        let change = |channel: usize| {
            let from = at(image, middle, middle, channel);
            [at(image, middle + 1, middle, channel) - from, at(image, middle, middle + 1, channel) - from]
        };
        [change(0), change(1)]
    };
    (0..64).map(of).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-4
}

#[test]
fn nothing_changes_outside_of_training() {
    let x = images().to_f64_vec();
    assert_eq!(changed(&RandomFlip::both(), false), x);
    assert_eq!(changed(&RandomTranslation::new(0.5, 0.5), false), x);
    assert_eq!(changed(&RandomRotation::new(0.5), false), x);
    assert_eq!(changed(&RandomZoom::new(0.5), false), x);
    assert_eq!(changed(&RandomContrast::new(0.5), false), x);
    assert_eq!(changed(&RandomBrightness::new(0.5), false), x);
}

#[test]
fn images_are_flipped_each_by_itself() {
    let (x, [_, height, width, channels]) = (images().to_f64_vec(), DIMS);
    let flipped = |image: &[f64], down: bool, right: bool| -> Vec<f64> {
        let place = |i: usize| {
            let (row, column, channel) = (i / channels / width, i / channels % width, i % channels);
            let row = if down { height - 1 - row } else { row };
            let column = if right { width - 1 - column } else { column };
            (row * width + column) * channels + channel
        };
        (0..image.len()).map(|i| image[place(i)]).collect()
    };
    let all = [(false, false), (false, true), (true, false), (true, true)];
    let met = |layer: RandomFlip| -> Vec<bool> {
        let y = changed(&layer, true);
        let version =
            |i: usize| all.iter().position(|(d, r)| image_of(&y, i) == flipped(image_of(&x, i), *d, *r)).unwrap();
        let versions: Vec<usize> = (0..DIMS[0]).map(version).collect();
        (0..4).map(|version| versions.contains(&version)).collect()
    };
    assert_eq!(met(RandomFlip::horizontal()), [true, true, false, false]);
    assert_eq!(met(RandomFlip::vertical()), [true, false, true, false]);
    assert_eq!(met(RandomFlip::both()), [true; 4]);
}

/// Around the edge, by whole numbers of rows and columns.
#[test]
fn images_are_moved_each_by_itself() {
    let (x, [_, height, width, channels]) = (images().to_f64_vec(), DIMS);
    let layer = RandomTranslation::new(0.5, 0.5).fill_mode(FillMode::Wrap).interpolation(Interpolation::Nearest);
    let y = changed(&layer, true);
    let moved = |image: &[f64], by: usize| -> Vec<f64> {
        let (down, right) = (by / width, by % width);
        let place = |i: usize| {
            let row = (i / channels / width + down) % height;
            let column = (i / channels % width + right) % width;
            (row * width + column) * channels + i % channels
        };
        (0..image.len()).map(|i| image[place(i)]).collect()
    };
    let by = |i: usize| (0..height * width).find(|by| image_of(&y, i) == moved(image_of(&x, i), *by)).unwrap();
    let met: std::collections::BTreeSet<usize> = (0..DIMS[0]).map(by).collect();
    assert!(met.len() > 12, "{met:?}");
}

#[test]
fn images_are_turned_by_angles_up_to_the_limit() {
    let turns = origins(&RandomRotation::new(0.1));
    let limit = std::f64::consts::TAU * 0.1;
    for [[cos, sin], [minus_sin, other]] in &turns {
        assert!(close(*cos, *other) && close(*sin, -minus_sin) && close(cos * cos + sin * sin, 1.0), "{cos} {sin}");
        assert!(sin.atan2(*cos).abs() <= limit + 1e-4);
    }
    // Both ways, and nearly as far as they may.
    let furthest = |sign: f64| turns.iter().map(|turn| sign * turn[0][1].atan2(turn[0][0])).fold(0.0, f64::max);
    assert!(furthest(1.0) > 0.8 * limit && furthest(-1.0) > 0.8 * limit);
}

#[test]
fn images_are_made_larger_and_smaller_alike_along_both_axes() {
    let zooms = origins(&RandomZoom::new(0.3));
    for [[height, zero], [other, width]] in &zooms {
        assert!(close(*height, *width) && close(*zero, 0.0) && close(*other, 0.0), "{height} {width}");
        assert!((0.7 - 1e-4..=1.3 + 1e-4).contains(height), "{height}");
    }
    assert!(zooms.iter().any(|zoom| zoom[0][0] < 0.8) && zooms.iter().any(|zoom| zoom[0][0] > 1.2));
}

#[test]
fn contrast_and_brightness_are_each_image_s_own() {
    let x = images().to_f64_vec();
    let contrast = changed(&RandomContrast::new(0.4).value_range(-9.0, 9.0), true);
    let brightness = changed(&RandomBrightness::new(0.1).value_range(-9.0, 9.0), true);
    let channel = |image: &[f64], c: usize| image.iter().skip(c).step_by(DIMS[3]).copied().collect::<Vec<f64>>();
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    let (mut factors, mut lights) = (vec![], vec![]);
    for i in 0..DIMS[0] {
        let (before, after) = (channel(image_of(&x, i), 1), channel(image_of(&contrast, i), 1));
        assert!(close(mean(&before), mean(&after)));
        let factor = (after[0] - mean(&after)) / (before[0] - mean(&before));
        let scaled = |x: &f64| (x - mean(&before)) * factor + mean(&before);
        assert!(before.iter().zip(&after).all(|(x, y)| close(scaled(x), *y)) && (0.6..=1.4).contains(&factor));
        factors.push(factor);
        let light = image_of(&brightness, i)[0] - image_of(&x, i)[0];
        let differences = image_of(&brightness, i).iter().zip(image_of(&x, i)).map(|(y, x)| y - x);
        assert!(differences.into_iter().all(|d| close(d, light)) && light.abs() <= 1.8 + 1e-4);
        lights.push(light);
    }
    let spread =
        |all: &[f64]| all.iter().fold(f64::MIN, |a, b| a.max(*b)) - all.iter().fold(f64::MAX, |a, b| a.min(*b));
    assert!(spread(&factors) > 0.6 && spread(&lights) > 2.5, "{} {}", spread(&factors), spread(&lights));
    assert!(changed(&RandomBrightness::new(3.0), true).iter().all(|y| (0.0..=1.0).contains(y)));
}

/// Why a layer refuses an input of these extents.
fn error(layer: &impl Layer, dims: &[usize]) -> String {
    let g = GraphBuilder::new("wrong");
    g.output("y", &layer.apply(&g.input("x", f32(dims))));
    g.finish().unwrap_err().to_string()
}

#[test]
fn settings_and_inputs_that_make_no_sense_are_refused() {
    assert!(error(&RandomRotation::new(-0.1), &DIMS).contains("the share of a turn must be finite and at least 0"));
    assert!(error(&RandomTranslation::new(0.1, f64::NAN), &DIMS).contains("the shares must be finite"));
    assert!(error(&RandomZoom::new(1.0), &DIMS).contains("at least 0 and below 1"));
    assert!(error(&RandomContrast::new(-1.0), &DIMS).contains("the factor must be finite and at least 0"));
    assert!(error(&RandomBrightness::new(0.1).value_range(1.0, 0.0), &DIMS).contains("the range must go"));
    assert!(error(&RandomFlip::horizontal(), &[2, 3]).contains("random_flip"));
    let g = GraphBuilder::new("wrong");
    g.output("y", &grid_sample(&g.input("x", f32(DIMS)), &g.input("grid", f32([3, 4, 4, 2])), GridSample::default()));
    assert!(g.finish().unwrap_err().to_string().contains("the grid must be floats [64, rows, columns, 2]"));
}

/// In every mode, at the places themselves alone, and without an index out of range; infinities, too, which lie nowhere in a mirror image.
#[test]
fn places_that_are_not_finite_give_nan_and_no_gradient() {
    let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let places: Vec<f64> = bad.iter().flat_map(|&bad| [bad, 0.0, 0.0, bad, 0.25, 0.25]).collect();
    for interpolation in [Interpolation::Bilinear, Interpolation::Nearest] {
        for fill in [FillMode::Constant, FillMode::Nearest, FillMode::Reflect, FillMode::Wrap] {
            for align_corners in [false, true] {
                let how = GridSample { interpolation, fill, align_corners };
                let g = GraphBuilder::new("places");
                let (x, grid) = (g.input("x", f64([1, 3, 4, 1])), g.input("grid", f64([1, 3, 3, 2])));
                let y = grid_sample(&x, &grid, how);
                g.output("y", &y);
                for (name, gradient) in ["dx", "dgrid"].into_iter().zip(g.gradients(&y.sum(), &[&x, &grid])) {
                    g.output(name, &gradient);
                }
                let mut runner = Runner::new(&g.finish().unwrap());
                let image: Vec<f64> = (1..=12).map(f64::from).collect();
                let found = runner
                    .step(&[("x", value(f64([1, 3, 4, 1]), &image)), ("grid", value(f64([1, 3, 3, 2]), &places))]);
                let [y, dx, dgrid] = ["y", "dx", "dgrid"].map(|name| found[name].to_f64_vec());
                for (at, y) in y.iter().enumerate() {
                    assert_eq!(y.is_nan(), at % 3 != 2, "{how:?}: {y} at place {at}");
                }
                assert!((dx.iter().sum::<f64>() - 3.0).abs() < 1e-12, "{how:?}: {dx:?}");
                assert!(dgrid.chunks(6).all(|row| row[..4] == [0.0; 4] && row[4].is_finite()), "{how:?}: {dgrid:?}");
            }
        }
    }
}
