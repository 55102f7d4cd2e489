//! Letters as squares of dots.

use font8x8::UnicodeFonts;

/// Dots of a letter, each way.
pub const GLYPH: usize = 8;

/// The dots of a letter, row by row from the top, the left ones in the low bits. White space shows as nothing, what the font doesn't have as a question mark.
pub fn glyph(letter: char) -> [u8; GLYPH] {
    if letter.is_whitespace() {
        return [0; GLYPH];
    }
    let fonts = |c: char| {
        font8x8::BASIC_FONTS.get(c).or_else(|| font8x8::LATIN_FONTS.get(c)).or_else(|| font8x8::GREEK_FONTS.get(c))
    };
    fonts(letter).or_else(|| fonts('?')).unwrap_or([0; GLYPH])
}
