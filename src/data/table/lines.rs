//! Which line of a text a byte stands in, while the text is read by somebody else.

use std::collections::VecDeque;
use std::io::{Read, Result};

/// A text on its way to a reader of records, which says at which byte a record begins but not in which line: it counts no lines that it skips because they are blank.
/// Lines end with LF, CR LF or CR.
pub(super) struct Lines<R> {
    text: R,
    /// Where lines that aren't blank begin: the byte, and the line's number. Those before the record that was asked for last are forgotten.
    starts: VecDeque<(u64, u64)>,
    /// The bytes and lines read so far, and the last byte.
    bytes: u64,
    line: u64,
    last: u8,
}

impl<R> Lines<R> {
    pub(super) fn new(text: R) -> Self {
        Self { text, starts: VecDeque::new(), bytes: 0, line: 1, last: b'\n' }
    }

    /// The number, from 1, of the first line that isn't blank and begins at this byte or after. Bytes are asked for in order.
    pub(super) fn at(&mut self, byte: u64) -> u64 {
        while self.starts.front().is_some_and(|(start, _)| *start < byte) {
            self.starts.pop_front();
        }
        self.starts.front().map_or(self.line, |(_, line)| *line)
    }

    fn take(&mut self, byte: u8) {
        match (byte, self.last) {
            (b'\n', b'\r') => {}
            (b'\n' | b'\r', _) => self.line += 1,
            (_, b'\n' | b'\r') => self.starts.push_back((self.bytes, self.line)),
            _ => {}
        }
        (self.bytes, self.last) = (self.bytes + 1, byte);
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.text.read(buffer)?;
        buffer[..read].iter().for_each(|byte| self.take(*byte));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_count_whatever_ends_them() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a", "", "b", "c", "", "", "d"].join(end);
            let mut lines = Lines::new(text.as_bytes());
            std::io::copy(&mut lines, &mut std::io::sink()).unwrap();
            let places = ["a", "b", "c", "d"].map(|letter| text.find(letter).unwrap() as u64);
            assert_eq!(places.map(|byte| lines.at(byte)), [1, 3, 4, 7], "{end:?}");
            // A reader that hasn't skipped the end of a line or blank lines yet asks for a byte before.
            let mut lines = Lines::new(text.as_bytes());
            std::io::copy(&mut lines, &mut std::io::sink()).unwrap();
            assert_eq!([0, places[0] + 1, places[2] + 1].map(|byte| lines.at(byte)), [1, 3, 7], "{end:?}");
        }
    }
}
