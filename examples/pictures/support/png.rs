//! Writes pictures as PNG files, for the examples.

use ::png as format;
use gradc::interpret::Picture;
use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Writes a picture.
pub(crate) fn write(path: impl AsRef<Path>, picture: &Picture) -> Result<(), Box<dyn Error>> {
    let file = BufWriter::new(File::create(path)?);
    let mut encoder = format::Encoder::new(file, picture.width as u32, picture.height as u32);
    encoder.set_color(format::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&picture.rgb)?;
    Ok(())
}
