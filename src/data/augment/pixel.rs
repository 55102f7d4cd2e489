//! Colours: bytes from 0 to 255, or floats from 0 to 1.

/// An element of an image.
pub(super) trait Pixel: Copy + Default {
    /// The largest colour.
    const WHITE: f32;

    fn to_f32(self) -> f32;

    /// The nearest colour that there is; NaN is black in bytes.
    fn from_f32(colour: f32) -> Self;
}

impl Pixel for u8 {
    const WHITE: f32 = 255.0;

    fn to_f32(self) -> f32 {
        self.into()
    }

    fn from_f32(colour: f32) -> Self {
        colour.round() as Self
    }
}

impl Pixel for f32 {
    const WHITE: f32 = 1.0;

    fn to_f32(self) -> f32 {
        self
    }

    fn from_f32(colour: f32) -> Self {
        colour
    }
}

/// Changes each colour, kept between black and white.
pub(super) fn recolor<P: Pixel>(image: &mut [P], f: impl Fn(f32) -> f32) {
    image.iter_mut().for_each(|c| *c = P::from_f32(f(c.to_f32()).clamp(0.0, P::WHITE)));
}
