//! Augmentation: each change by its numbers, and what all of them leave as it is.

use super::*;
use crate::data::{Column, Dataset, Epoch, array};
use crate::prelude::*;

/// Three rows of two pixels.
const IMAGE: [u8; 6] = [1, 2, 3, 4, 5, 6];
const EXTENTS: Extents = Extents { height: 3, width: 2, channels: 1 };

fn changed(f: impl Fn(&mut [u8])) -> [u8; 6] {
    let mut image = IMAGE;
    f(&mut image);
    image
}

#[test]
fn images_are_mirrored_moved_and_cut() {
    assert_eq!(changed(|i| flip_horizontal(i, EXTENTS)), [2, 1, 4, 3, 6, 5]);
    assert_eq!(changed(|i| flip_vertical(i, EXTENTS)), [5, 6, 3, 4, 1, 2]);
    // Three pixels of two channels.
    let wide = Extents { height: 1, width: 3, channels: 2 };
    assert_eq!(changed(|i| flip_horizontal(i, wide)), [5, 6, 3, 4, 1, 2]);
    assert_eq!(changed(|i| crop(i, EXTENTS, (0, 0))), IMAGE);
    assert_eq!(changed(|i| crop(i, EXTENTS, (1, 0))), [3, 4, 5, 6, 0, 0]);
    assert_eq!(changed(|i| crop(i, EXTENTS, (-1, 1))), [0, 0, 2, 0, 4, 0]);
    assert_eq!(changed(|i| crop(i, EXTENTS, (1, -1))), [0, 3, 0, 5, 0, 0]);
    assert_eq!(changed(|i| crop(i, EXTENTS, (0, 2))), [0; 6]);
    assert_eq!(changed(|i| crop(i, EXTENTS, (-3, 0))), [0; 6]);
    assert_eq!(changed(|i| crop(i, wide, (0, 1))), [3, 4, 5, 6, 0, 0]);
    assert_eq!(changed(|i| cutout(i, EXTENTS, (2, 0), 1)), [1, 2, 3, 4, 0, 6]);
    assert_eq!(changed(|i| cutout(i, EXTENTS, (0, 0), 2)), [0, 2, 3, 4, 5, 6]);
    assert_eq!(changed(|i| cutout(i, EXTENTS, (1, 1), 9)), [0; 6]);
    assert_eq!(changed(|i| cutout(i, EXTENTS, (1, 1), 0)), IMAGE);
}

#[test]
fn images_are_turned_about_their_middle() {
    use std::f64::consts::{FRAC_PI_2, PI};
    assert_eq!(changed(|i| rotate(i, EXTENTS, 0.0)), IMAGE);
    assert_eq!(changed(|i| rotate(i, EXTENTS, PI)), [6, 5, 4, 3, 2, 1]);
    let square = Extents { height: 2, width: 2, channels: 1 };
    let mut image = [1.0f32, 2.0, 3.0, 4.0];
    rotate(&mut image, square, FRAC_PI_2);
    for (got, want) in image.iter().zip([2.0, 4.0, 1.0, 3.0]) {
        assert!((got - want).abs() < 1e-6, "{image:?}");
    }
    // By an eighth, the middle of nine stays, and each side's middle is between two old ones.
    let mut image = [0.0f32, 1.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0];
    rotate(&mut image, Extents { height: 3, width: 3, channels: 1 }, FRAC_PI_2 / 2.0);
    assert!((image[4] - 5.0).abs() < 1e-6, "{image:?}");
    assert!(image[0] > image[2] && image[0] > 0.5, "counterclockwise: {image:?}");
}

#[test]
fn colours_stay_colours() {
    let mut image = [0u8, 100, 200, 255, 10, 20];
    recolor(&mut image, |c| c * 1.5);
    assert_eq!(image, [0, 150, 255, 255, 15, 30]);
    let mut image = [0.2f32, 0.4];
    contrast(&mut image, Extents { height: 1, width: 2, channels: 1 }, 2.0);
    assert!((image[0] - 0.1).abs() < 1e-6 && (image[1] - 0.5).abs() < 1e-6, "{image:?}");
    let pixel = Extents { height: 1, width: 1, channels: 3 };
    let mut image = [200u8, 100, 0];
    saturation(&mut image, pixel, 0.0);
    // 0.299 * 200 + 0.587 * 100 = 118.5.
    assert!(image.iter().all(|c| (118..=119).contains(c)), "{image:?}");
    let mut image = [200u8, 100, 0];
    saturation(&mut image, pixel, 1.0);
    assert_eq!(image, [200, 100, 0]);
}

fn images(n: usize) -> Dataset {
    let pixels = (0..n * 48).map(|i| (i * 37 % 251) as u8).collect();
    let labels = Column::new(array([n], (0..n).map(|i| (i % 3) as i32).collect()).unwrap()).unwrap();
    Dataset::images(Column::new(array([n, 4, 4, 3], pixels).unwrap()).unwrap(), labels).unwrap()
}

fn all() -> Augment {
    let moved = Augment::new().flip_horizontal().flip_vertical().crop(1).rotate(20.0);
    moved.brightness(0.3).contrast(0.3).saturation(0.3).cutout(2)
}

fn passed(stream: &Stream, number: u64) -> Vec<Value> {
    let batches = stream.batches(Epoch { number, ..Epoch::in_order(4) }).unwrap();
    batches.map(|batch| batch.unwrap().value("x").unwrap()).collect()
}

#[test]
fn each_pass_sees_other_forms_of_an_image_and_threads_the_same() {
    let stream = images(16).stream().augment(all());
    let first = passed(&stream, 1);
    assert_ne!(first, passed(&stream, 2));
    for workers in [0, 2, 5] {
        assert_eq!(passed(&stream.clone().workers(workers), 1), first);
    }
    let same = images(16).stream().augment(Augment::new());
    assert_eq!(passed(&same, 1), passed(&images(16).stream(), 1));
    let one = array([2, 4], vec![0.0f32; 8]).unwrap();
    let error = Dataset::unlabelled(one).unwrap().stream().augment(all()).collect(0).unwrap_err().to_string();
    assert!(error.contains("`x` is f32[4], no image of [height, width, channels]"), "{error}");
}

/// How often a flip happens, and how far a crop moves: 400 images of one bright pixel.
#[test]
fn changes_are_drawn_evenly() {
    let image = |_| (0..25).map(|i| if i == 11 { 255u8 } else { 0 });
    let pixels = Column::new(array([400, 5, 5, 1], (0..400).flat_map(image).collect()).unwrap()).unwrap();
    let places = |augment: Augment| {
        let data = Dataset::of("x", pixels.clone()).stream().augment(augment).collect(3).unwrap();
        let mut counts = [0; 26];
        let values = data.value("x").unwrap().to_f64_vec();
        values.chunks(25).for_each(|image| counts[image.iter().position(|c| *c > 0.0).unwrap_or(25)] += 1);
        counts
    };
    // 200 on average, with a standard deviation of 10.
    let flipped = places(Augment::new().flip_horizontal());
    assert!(flipped[11] + flipped[13] == 400 && (150..250).contains(&flipped[13]), "{flipped:?}");
    // Nine places, 44 each on average, with a standard deviation of 6.
    let moved = places(Augment::new().crop(1));
    let near: Vec<usize> = [5, 6, 7, 10, 11, 12, 15, 16, 17].iter().map(|i| moved[*i]).collect();
    assert!(near.iter().all(|n| (15..75).contains(n)) && near.iter().sum::<usize>() == 400, "{moved:?}");
}

#[test]
fn mixed_samples_are_mixtures_with_their_targets() {
    // Pixel and label say the same: sample i has i/255 everywhere, and class i.
    let pixels = (0..4u8).flat_map(|i| [i * 50; 2]).collect();
    let labels = Column::new(array([4], vec![0i32, 1, 2, 3]).unwrap()).unwrap();
    let data = Dataset::images(Column::new(array([4, 1, 2, 1], pixels).unwrap()).unwrap(), labels).unwrap();
    let weights = Column::new(array([4], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap()).unwrap();
    let stream = data.with("sample_weight", weights).unwrap().stream().mixup(1.0, 4).unwrap();
    let mut shares = Vec::new();
    for number in 0..20 {
        let batch = stream.batches(Epoch { number, ..Epoch::in_order(4) }).unwrap().next().unwrap().unwrap();
        let (x, y) = (batch.value("x").unwrap().to_f64_vec(), batch.value("y").unwrap().to_f64_vec());
        for (i, (x, y)) in x.chunks(2).zip(y.chunks(4)).enumerate() {
            let said: f64 = (0..4).map(|class| y[class] * (class * 50) as f64 / 255.0).sum();
            assert!((x[0] - said).abs() < 1e-6 && x[0] == x[1], "{x:?} {y:?}");
            assert!((y.iter().sum::<f64>() - 1.0).abs() < 1e-6);
            shares.push(y[i]);
        }
        assert_eq!(batch.value("sample_weight").unwrap().to_f64_vec(), [1.0, 2.0, 3.0, 4.0]);
    }
    assert!(shares.iter().any(|s| *s < 0.3) && shares.iter().any(|s| *s > 0.7), "{shares:?}");
    assert!(images(2).stream().mixup(0.0, 3).is_err() && images(2).stream().mixup(1.0, 0).is_err());
    let error = images(9).stream().mixup(0.2, 2).unwrap().collect(0).unwrap_err().to_string();
    assert!(error.contains("sample 2 of the stream: the label 2 is none of 2 classes"), "{error}");
    // A batch of one has nothing to be mixed with.
    let alone = images(1).stream().mixup(1.0, 3).unwrap().collect(0).unwrap();
    assert_eq!(alone.value("y").unwrap().to_f64_vec(), [1.0, 0.0, 0.0]);
}
