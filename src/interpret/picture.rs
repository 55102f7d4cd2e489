//! Numbers as colours.

/// Which colours stand for which numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Palette {
    /// From black at the smallest to white at the largest.
    Grey,
    /// White at 0, red above, blue below, as strong as the number is large against the largest.
    Signed,
}

/// An image of 8-bit colours, row by row from the top: three bytes a pixel, red, green, blue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The pixels.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Of numbers row by row, `width` in each; what is left of an incomplete row is not drawn. A number that is not finite is drawn as 0.
    pub fn of(values: &[f64], width: usize, palette: Palette) -> Self {
        let height = values.len().checked_div(width).unwrap_or(0);
        let values: Vec<f64> = values[..height * width].iter().map(|v| if v.is_finite() { *v } else { 0.0 }).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let largest = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let byte = |share: f64| (share.clamp(0.0, 1.0) * 255.0).round() as u8;
        let pixel = |v: &f64| match palette {
            Palette::Grey => [byte(if high > low { (v - low) / (high - low) } else { 0.0 }); 3],
            Palette::Signed => {
                let faded = byte(1.0 - if largest > 0.0 { v.abs() / largest } else { 0.0 });
                if *v > 0.0 { [255, faded, faded] } else { [faded, faded, 255] }
            }
        };
        Self { width, height, rgb: values.iter().flat_map(pixel).collect() }
    }

    /// With each pixel as a square of `factor` by `factor`.
    pub fn enlarged(&self, factor: usize) -> Self {
        let (width, height) = (self.width * factor, self.height * factor);
        let pixel = |i: usize| {
            let at = 3 * (i / width / factor * self.width + i % width / factor);
            [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
        };
        Self { width, height, rgb: (0..width * height).flat_map(pixel).collect() }
    }

    /// This picture and another one to the right of it, `gap` white pixels between them; white below the lower one.
    pub fn beside(&self, other: &Self, gap: usize) -> Self {
        let (width, height) = (self.width + gap + other.width, self.height.max(other.height));
        let row = |picture: &Self, y: usize| {
            let full = 3 * picture.width;
            if y < picture.height { picture.rgb[y * full..(y + 1) * full].to_vec() } else { vec![255; full] }
        };
        let rgb = (0..height).flat_map(|y| [row(self, y), vec![255; 3 * gap], row(other, y)].concat()).collect();
        Self { width, height, rgb }
    }

    /// This picture and another one below it, `gap` white rows between them; white to the right of the narrower one.
    pub fn above(&self, other: &Self, gap: usize) -> Self {
        let width = self.width.max(other.width);
        let rows = |picture: &Self| -> Vec<u8> {
            let white = vec![255; 3 * (width - picture.width)];
            let row =
                |y: usize| [&picture.rgb[3 * y * picture.width..3 * (y + 1) * picture.width], &white[..]].concat();
            (0..picture.height).flat_map(row).collect()
        };
        let rgb = [rows(self), vec![255; 3 * gap * width], rows(other)].concat();
        Self { width, height: self.height + gap + other.height, rgb }
    }
}
