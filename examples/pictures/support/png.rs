//! Writes pictures as PNG files, for the examples.

use gradc::interpret::Picture;
use gradc::io::write_atomically;
use gradc_plot::encode_png;
use std::error::Error;
use std::path::Path;

/// Writes a picture.
pub(crate) fn write(path: impl AsRef<Path>, picture: &Picture) -> Result<(), Box<dyn Error>> {
    Ok(write_atomically(path, &encode_png(picture.width, picture.height, &picture.rgb)?)?)
}
