//! Random changes of images, so that a network sees each of them in many forms.

mod geometry;
mod mixup;
mod pixel;
#[cfg(test)]
mod tests;

use super::{DataError, Rng, SampleMut, Stream};
use geometry::{Extents, crop, cutout, flip_horizontal, flip_vertical, rotate};
use ir::DType;
use pixel::{Pixel, recolor};

/// Random changes of the images in column `x`, `[height, width, channels]`, bytes or `f32`, in the order of the calls. Colours of bytes lie on 0 to 255, those of
/// floats on 0 to 1.
///
/// ```
/// use gradc::data::{Augment, Dataset, array};
/// let images = array([2, 28, 28, 1], vec![0.5f32; 2 * 784])?;
/// let data = Dataset::new(images, array([2], vec![3i32, 5])?)?;
/// let stream = data.stream().augment(Augment::new().flip_horizontal().crop(2).rotate(10.0).cutout(6));
/// # Ok::<(), gradc::data::DataError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Augment {
    changes: Vec<Change>,
}

/// A random change.
#[derive(Clone, Copy, Debug)]
enum Change {
    FlipHorizontal,
    FlipVertical,
    Crop { padding: usize },
    Rotate { degrees: f64 },
    Brightness { strength: f64 },
    Contrast { strength: f64 },
    Saturation { strength: f64 },
    Cutout { size: usize },
}

impl Augment {
    /// Without changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Left and right are exchanged in every other image.
    pub fn flip_horizontal(self) -> Self {
        self.with(Change::FlipHorizontal)
    }

    /// Above and below are exchanged in every other image.
    pub fn flip_vertical(self) -> Self {
        self.with(Change::FlipVertical)
    }

    /// A random part as large as the image, of the image with so many zeros around it: it is moved by up to `padding` pixels each way.
    pub fn crop(self, padding: usize) -> Self {
        self.with(Change::Crop { padding })
    }

    /// Turned about its middle by up to so many degrees either way; between pixels by bilinear interpolation, zeros beyond the image.
    pub fn rotate(self, degrees: f64) -> Self {
        self.with(Change::Rotate { degrees })
    }

    /// Brighter or darker: all colours times a factor within `1 - strength` and `1 + strength`.
    pub fn brightness(self, strength: f64) -> Self {
        self.with(Change::Brightness { strength })
    }

    /// More or less contrast: all colours' distances from the image's mean grey times a factor within `1 - strength` and `1 + strength`.
    pub fn contrast(self, strength: f64) -> Self {
        self.with(Change::Contrast { strength })
    }

    /// More or less colour: distances from the pixel's own grey (by ITU-R BT.601) times a factor within `1 - strength` and `1 + strength`. Images of other than
    /// three channels stay what they are.
    pub fn saturation(self, strength: f64) -> Self {
        self.with(Change::Saturation { strength })
    }

    /// A square of zeros of that size, at a random place, partly beyond the edge it may be (DeVries and Taylor, arXiv 1708.04552).
    pub fn cutout(self, size: usize) -> Self {
        self.with(Change::Cutout { size })
    }

    fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Changes the image of a sample; [`Stream::augment`] does it to all.
    ///
    /// # Errors
    /// If there is no column `x`, or it holds no images.
    pub fn apply(&self, sample: &mut SampleMut<'_>, rng: &mut Rng) -> Result<(), DataError> {
        let ty = sample.ty(IMAGES)?;
        let [height, width, channels] = *ty.shape.dims() else {
            return Err(DataError::Dataset(format!("`{IMAGES}` is {ty}, no image of [height, width, channels]")));
        };
        let extents = Extents { height, width, channels };
        match ty.dtype {
            DType::U8 => self.change::<u8>(sample.get_mut(IMAGES)?, extents, rng),
            DType::F32 => self.change::<f32>(sample.get_mut(IMAGES)?, extents, rng),
            _ => return Err(DataError::Dataset(format!("`{IMAGES}` is {ty}: images to change are of u8 or f32"))),
        }
        Ok(())
    }

    fn change<P: Pixel>(&self, image: &mut [P], extents: Extents, rng: &mut Rng) {
        for change in &self.changes {
            match *change {
                Change::FlipHorizontal if rng.chance(0.5) => flip_horizontal(image, extents),
                Change::FlipVertical if rng.chance(0.5) => flip_vertical(image, extents),
                Change::FlipHorizontal | Change::FlipVertical => {}
                Change::Crop { padding } => {
                    let mut offset = || rng.below(2 * padding + 1) as isize - padding as isize;
                    crop(image, extents, (offset(), offset()));
                }
                Change::Rotate { degrees } => rotate(image, extents, rng.between(-degrees, degrees).to_radians()),
                Change::Brightness { strength } => {
                    let factor = factor(rng, strength);
                    recolor(image, |c| c * factor);
                }
                Change::Contrast { strength } => contrast(image, extents, factor(rng, strength)),
                Change::Saturation { strength } => saturation(image, extents, factor(rng, strength)),
                Change::Cutout { size } => {
                    cutout(image, extents, (rng.below(extents.height), rng.below(extents.width)), size);
                }
            }
        }
    }
}

/// The column of images.
const IMAGES: &str = "x";

fn factor(rng: &mut Rng, strength: f64) -> f32 {
    rng.between((1.0 - strength).max(0.0), 1.0 + strength) as f32
}

/// How bright a pixel is, by the weights of ITU-R BT.601; the mean of other than three channels.
fn grey<P: Pixel>(pixel: &[P]) -> f32 {
    match pixel {
        [r, g, b] => 0.299 * r.to_f32() + 0.587 * g.to_f32() + 0.114 * b.to_f32(),
        other => other.iter().map(|c| c.to_f32()).sum::<f32>() / other.len() as f32,
    }
}

fn contrast<P: Pixel>(image: &mut [P], extents: Extents, factor: f32) {
    let pixels = (extents.height * extents.width) as f32;
    let mean = image.chunks(extents.channels).map(grey).sum::<f32>() / pixels;
    recolor(image, |c| mean + (c - mean) * factor);
}

fn saturation<P: Pixel>(image: &mut [P], extents: Extents, factor: f32) {
    if extents.channels == 3 {
        for pixel in image.chunks_exact_mut(3) {
            let grey = grey(pixel);
            recolor(pixel, |c| grey + (c - grey) * factor);
        }
    }
}

impl Stream {
    /// Changes the images in column `x` at random, anew in each pass.
    pub fn augment(self, augment: Augment) -> Self {
        self.map(move |sample, rng| augment.apply(sample, rng))
    }
}
