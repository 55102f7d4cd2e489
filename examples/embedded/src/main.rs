//! Trains a network on handwritten digits for an epoch and predicts others: both steps were compiled when the program was built, and there is no compiler in it.
//!
//!     embedded IMAGES LABELS TEST_IMAGES TEST_LABELS [THREADS]
//!
//! The files are MNIST's, unpacked. It prints the loss of each batch, and then how many of the test images it tells right.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;

mod train {
    embed::include_step!("cnn_train");
}

mod infer {
    embed::include_step!("cnn_infer");
}

/// Images or labels, a byte each, of a file of the format IDX.
struct Idx {
    count: usize,
    bytes: Vec<u8>,
}

impl Idx {
    fn read(path: &str, axes: usize) -> Result<Self, Box<dyn Error>> {
        let all = fs::read(path).map_err(|e| format!("{path}: {e}"))?;
        let header = 4 + 4 * axes;
        if all.len() < header || usize::from(all[3]) != axes {
            return Err(format!("{path} isn't an IDX file of {axes} axes (gunzip it first)").into());
        }
        Ok(Self { count: u32::from_be_bytes([all[4], all[5], all[6], all[7]]) as usize, bytes: all[header..].to_vec() })
    }

    /// In batches of so many samples; what is left over is left out.
    fn batches(&self, samples: usize) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.bytes.len() / self.count.max(1) * samples)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [images, labels, test_images, test_labels, rest @ ..] = args.as_slice() else {
        return Err("usage: embedded IMAGES LABELS TEST_IMAGES TEST_LABELS [THREADS]".into());
    };
    let threads = rest.first().map_or(Ok(1), |threads| threads.parse())?;

    let mut states = train::states(0)?;
    let mut step = train::Step::new(threads)?;
    let (images, labels) = (Idx::read(images, 3)?, Idx::read(labels, 1)?);
    let batch = train::Y_SHAPE[0];
    for (images, labels) in images.batches(batch).zip(labels.batches(batch)) {
        scale(images, &mut step.inputs.x);
        step.inputs.y.iter_mut().zip(labels).for_each(|(y, label)| *y = i32::from(*label));
        step.run(&mut states)?;
        println!("{:?}", step.outputs.loss[0]);
    }

    let mut step = infer::Step::new(threads)?;
    let (images, labels) = (Idx::read(test_images, 3)?, Idx::read(test_labels, 1)?);
    let [batch, classes] = infer::OUTPUT_SHAPE;
    let (mut right, mut all) = (0, 0);
    for (images, labels) in images.batches(batch).zip(labels.batches(batch)) {
        scale(images, &mut step.inputs.x);
        step.run(&states)?;
        for (logits, label) in step.outputs.output.chunks_exact(classes).zip(labels) {
            let best = (0..classes).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
            right += usize::from(best == usize::from(*label));
            all += 1;
        }
    }
    println!("{right} of {all} test images told right: {:.2} %", 100.0 * right as f64 / all as f64);
    Ok(())
}

/// Pixels from 0 to 1.
fn scale(pixels: &[u8], x: &mut [f32]) {
    x.iter_mut().zip(pixels).for_each(|(x, pixel)| *x = f32::from(*pixel) / 255.0);
}
