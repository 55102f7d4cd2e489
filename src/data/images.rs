//! Images from folders of PNG and JPEG files.

use super::{DataError, Schema, Stream};
use crate::dsl::TypeSpec;
use image::DynamicImage;
use image::imageops::FilterType;
use ir::DType;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder with a folder of images for each class: `cats/1.png`, `dogs/2.jpg`. Classes and files are in the order of their names.
///
/// ```no_run
/// use gradc::data::{Augment, ImageFolder};
/// let folder = ImageFolder::open("photos/train", [64, 64, 3])?;
/// let stream = folder.stream()?.shuffle(10_000).augment(Augment::new().flip_horizontal()).workers(2);
/// println!("{} images of {:?}", folder.len(), folder.classes());
/// # Ok::<(), gradc::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    classes: Vec<String>,
    files: Arc<[(PathBuf, i32)]>,
    extents: [usize; 3],
}

impl ImageFolder {
    /// Lists the files; `extents` are the height, the width and the channels (1 for grey, 3 for colours) that images are brought to.
    ///
    /// # Errors
    /// If the folder can't be read, has no folder with images, or extents are 0 or other channels.
    pub fn open(dir: impl AsRef<Path>, extents: [usize; 3]) -> Result<Self, DataError> {
        let dir = dir.as_ref();
        if extents[0] == 0 || extents[1] == 0 || extents.iter().any(|extent| u32::try_from(*extent).is_err()) {
            return Err(DataError::Dataset(format!("images of {extents:?}: no extent may be 0, or more than 32 bits")));
        }
        if ![1, 3].contains(&extents[2]) {
            return Err(DataError::Dataset(format!("images of {} channels: 1 and 3 are possible", extents[2])));
        }
        let (mut classes, mut files) = (Vec::new(), Vec::new());
        for folder in entries(dir)?.into_iter().filter(|path| path.is_dir()) {
            let images: Vec<PathBuf> = entries(&folder)?.into_iter().filter(|path| is_image(path)).collect();
            if !images.is_empty() {
                files.extend(images.into_iter().map(|path| (path, classes.len() as i32)));
                classes.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
            }
        }
        if files.is_empty() {
            return Err(DataError::file(dir, "there is no folder with PNG or JPEG files in it"));
        }
        Ok(Self { classes, files: files.into(), extents })
    }

    /// The classes' names by number: those of their folders.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The number of images; at least 1.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Never true: a folder without images isn't opened.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The images, decoded by the stream's workers when they are used: `x` of bytes that stand for fractions of 255, `y` the class. An image of another size is
    /// scaled, by linear interpolation. [`Stream::collect`] keeps them all in memory.
    ///
    /// # Errors
    /// None that a folder that was opened has; files that can't be decoded are errors of the pass.
    pub fn stream(&self) -> Result<Stream, DataError> {
        let schema = Schema::new().image("x", self.extents)?.column("y", TypeSpec::new(DType::I32, []))?;
        let (files, extents) = (self.files.clone(), self.extents);
        Ok(Stream::indexed(schema, self.files.len(), move |place, sample| {
            let (path, class) = &files[place];
            sample.put("x", &pixels(path, extents)?)?;
            sample.put("y", &[*class])
        }))
    }
}

/// What is in a folder, in the order of names.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read = || -> std::io::Result<Vec<PathBuf>> { std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect() };
    let mut paths = read().map_err(|e| DataError::io(dir, e))?;
    paths.sort();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ["png", "jpg", "jpeg"].contains(&ending.as_str()))
}

/// An image's colours, row-major.
fn pixels(path: &Path, [height, width, channels]: [usize; 3]) -> Result<Vec<u8>, DataError> {
    let wrong = |e: &dyn std::fmt::Display| DataError::file(path, e.to_string());
    let reader = image::ImageReader::open(path).map_err(|e| DataError::io(path, e))?;
    // By its contents: names lie.
    let reader = reader.with_guessed_format().map_err(|e| DataError::io(path, e))?;
    let mut image: DynamicImage = reader.decode().map_err(|e| wrong(&e))?;
    if (image.height() as usize, image.width() as usize) != (height, width) {
        image = image.resize_exact(width as u32, height as u32, FilterType::Triangle);
    }
    Ok(if channels == 1 { image.into_luma8().into_raw() } else { image.into_rgb8().into_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for class in ["b", "a", "none"] {
            std::fs::create_dir(dir.path().join(class)).unwrap();
        }
        RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8, y as u8, 9])).save(dir.path().join("b/2.png")).unwrap();
        RgbImage::from_pixel(6, 8, Rgb([200, 100, 0])).save(dir.path().join("b/1.JPG")).unwrap();
        GrayImage::from_pixel(3, 2, Luma([7])).save(dir.path().join("a/0.png")).unwrap();
        std::fs::write(dir.path().join("a/notes.txt"), "no image").unwrap();
        dir
    }

    #[test]
    fn folders_are_classes_and_files_images() {
        let dir = folder();
        let images = ImageFolder::open(dir.path(), [2, 3, 3]).unwrap();
        assert_eq!((images.classes(), images.len()), (&["a".to_string(), "b".to_string()][..], 3));
        let data = images.stream().unwrap().workers(2).collect(0).unwrap();
        assert_eq!(data.value("y").unwrap().to_f64_vec(), [0.0, 1.0, 1.0]);
        let x = data.value("x").unwrap().to_f64_vec();
        assert_eq!(x[..18], [7.0; 18]);
        let want = [[0, 0, 9], [1, 0, 9], [2, 0, 9], [0, 1, 9], [1, 1, 9], [2, 1, 9]].concat();
        assert_eq!(x[36..], want.iter().map(|c| f64::from(*c)).collect::<Vec<_>>());
        // JPEG keeps an even colour nearly, and so does scaling.
        for pixel in x[18..36].chunks(3) {
            assert!(pixel.iter().zip([200.0, 100.0, 0.0]).all(|(got, want)| (got - want).abs() <= 4.0), "{pixel:?}");
        }
        let grey = ImageFolder::open(dir.path(), [4, 4, 1]).unwrap().stream().unwrap().collect(0).unwrap();
        assert_eq!(grey.value("x").unwrap().to_f64_vec()[..16], [7.0; 16]);
    }

    #[test]
    fn what_is_no_image_is_named() {
        let dir = folder();
        std::fs::write(dir.path().join("b/3.png"), "no image").unwrap();
        let images = ImageFolder::open(dir.path(), [2, 3, 3]).unwrap();
        let error = images.stream().unwrap().collect(0).unwrap_err().to_string();
        assert!(error.starts_with("sample 3 of the stream: ") && error.contains("3.png"), "{error}");
        assert!(ImageFolder::open(dir.path().join("none"), [2, 3, 3]).is_err());
        assert!(ImageFolder::open(dir.path().join("missing"), [2, 3, 3]).is_err());
        assert!(ImageFolder::open(dir.path(), [0, 3, 3]).is_err() && ImageFolder::open(dir.path(), [2, 3, 2]).is_err());
    }
}
