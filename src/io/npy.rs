//! NumPy's file of one array (NEP 1, `numpy.lib.format`): a magic number, a header that is a dictionary of Python, the elements.

use super::arrange::{permuted, reversed_axes};
use super::tensor_file::check_truth_values;
use ir::{DType, Data, Scalar, Shape, TensorType, Value};

/// How such a file begins.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes of a header that are read at most: as many as NumPy itself reads.
const MAX_DICTIONARY: usize = 10_000;

/// Bytes of a file that hold its header, at most.
pub(super) const MAX_START: usize = MAX_DICTIONARY + 12;

/// The element types by NumPy's names, without the order of bytes.
const ELEMENTS: [(&str, DType); 12] = [
    ("f4", DType::F32),
    ("f8", DType::F64),
    ("f2", DType::F16),
    ("i8", DType::I64),
    ("i4", DType::I32),
    ("i2", DType::I16),
    ("i1", DType::I8),
    ("u8", DType::U64),
    ("u4", DType::U32),
    ("u2", DType::U16),
    ("u1", DType::U8),
    ("b1", DType::Bool),
];

/// What a header says.
#[derive(Debug)]
pub(super) struct ArrayHeader {
    /// The element type by NumPy's name: `<f4`.
    descr: String,
    /// Whether the first axis is the one whose elements are neighbours.
    fortran_order: bool,
    dims: Vec<usize>,
    /// Where the elements begin.
    pub(super) start: usize,
}

impl ArrayHeader {
    /// Reads the header at the beginning of a file. An error is a place and what is wrong there.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, (usize, String)> {
        let version = bytes.strip_prefix(MAGIC).ok_or((0, "no array of NumPy begins so".to_string()))?;
        let (length, from) = match version {
            [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([*a, *b])), 10),
            [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12),
            [major @ (0 | 4..), ..] => return Err((6, format!("version {major} of the format is not known"))),
            _ => return Err((bytes.len(), "the header is cut off".into())),
        };
        if length > MAX_DICTIONARY {
            return Err((8, format!("a header of {length} bytes, more than the {MAX_DICTIONARY} that are read")));
        }
        let text = bytes.get(from..from + length).ok_or((bytes.len(), "the header is cut off".to_string()))?;
        let mut words = Words { text, at: 0 };
        let header = words.header().map_err(|what| (from + words.at, what))?;
        Ok(Self { start: from + length, ..header })
    }

    /// The type of the elements, and whether their highest byte comes first.
    fn element(&self) -> Result<(DType, bool), String> {
        let (order, name) = self.descr.split_at_checked(1).unwrap_or_default();
        let dtype = ELEMENTS.iter().find(|(known, _)| *known == name).map(|(_, dtype)| *dtype);
        match (dtype, order) {
            (Some(dtype), "<" | "|" | "=") => Ok((dtype, false)),
            (Some(dtype), ">") => Ok((dtype, true)),
            _ => Err(format!(
                "elements of `{}` are not supported: save the array as one of float32 (`a.astype('f4')`), or of another type that there is here",
                self.descr
            )),
        }
    }

    /// The type of the array, as it is read.
    pub(super) fn ty(&self) -> Result<TensorType, String> {
        let shape = Shape::new(&self.dims).map_err(|e| e.to_string())?;
        Ok(TensorType::new(self.element()?.0, shape))
    }

    /// The bytes that the elements take; nothing if there can't be so many.
    pub(super) fn size(&self) -> Result<Option<usize>, String> {
        let width = self.element()?.0.size_bytes();
        Ok(self.dims.iter().try_fold(width, |size, extent| size.checked_mul(*extent)))
    }

    /// The array, from the bytes of its elements, of which there are [`Self::size`].
    pub(super) fn value(&self, bytes: &[u8]) -> Result<Value, String> {
        let (dtype, swapped) = self.element()?;
        check_truth_values(dtype, bytes)?;
        let data = if swapped {
            let mut turned = bytes.to_vec();
            turned.chunks_mut(dtype.size_bytes()).for_each(<[u8]>::reverse);
            Data::from_bytes(dtype, &turned)
        } else {
            Data::from_bytes(dtype, bytes)
        };
        let ty = self.ty()?;
        if !self.fortran_order {
            return Value::new(ty, data).map_err(|e| e.to_string());
        }
        let stored: Vec<usize> = self.dims.iter().rev().copied().collect();
        let shape = Shape::new(&stored).map_err(|e| e.to_string())?;
        let value = Value::new(ty.with_shape(shape), data).map_err(|e| e.to_string())?;
        Ok(permuted(&value, &reversed_axes(stored.len())))
    }
}

/// The dictionary of a header: its three entries in any order.
struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl Words<'_> {
    fn header(&mut self) -> Result<ArrayHeader, String> {
        let (mut descr, mut fortran_order, mut dims) = (None, None, None);
        self.expect(b'{')?;
        while !self.take(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            match key.as_str() {
                "descr" => descr = Some(self.string()?),
                "fortran_order" => fortran_order = Some(self.truth()?),
                "shape" => dims = Some(self.extents()?),
                _ => return Err(format!("an entry `{key}`, which there is none of")),
            }
            if !self.take(b',') && self.peek() != Some(b'}') {
                return Err("`,` or `}` is missing".into());
            }
        }
        let missing = |what: &str| format!("the header has no entry `{what}`");
        Ok(ArrayHeader {
            descr: descr.ok_or_else(|| missing("descr"))?,
            fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
            dims: dims.ok_or_else(|| missing("shape"))?,
            start: 0,
        })
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.take(byte) { Ok(()) } else { Err(format!("`{}` is missing", char::from(byte))) }
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.peek().filter(|c| matches!(c, b'\'' | b'"'));
        let quote = quote.ok_or("a text in quotes is missing; records of several parts are not supported")?;
        let rest = &self.text[self.at + 1..];
        let length = rest.iter().position(|c| *c == quote).ok_or("a text without its end")?;
        self.at += length + 2;
        String::from_utf8(rest[..length].to_vec()).map_err(|e| e.to_string())
    }

    fn truth(&mut self) -> Result<bool, String> {
        self.peek();
        for (word, truth) in [(&b"True"[..], true), (b"False", false)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(truth);
            }
        }
        Err("`True` or `False` is missing".into())
    }

    fn extents(&mut self) -> Result<Vec<usize>, String> {
        let mut dims = Vec::new();
        self.expect(b'(')?;
        while !self.take(b')') {
            self.peek();
            let digits = self.text[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
            let number = String::from_utf8_lossy(&self.text[self.at..self.at + digits]).into_owned();
            dims.push(number.parse().map_err(|_| format!("`{number}` is no extent"))?);
            self.at += digits;
            // As Python 2 wrote long integers.
            self.take(b'L');
            if !self.take(b',') && self.peek() != Some(b')') {
                return Err("`,` or `)` is missing".into());
            }
        }
        Ok(dims)
    }
}

/// A file of an array, without the elements, and the array as it is written: NumPy has no `bf16`, which becomes `f32`, of the same values.
pub(super) fn header_of(ty: &TensorType) -> (Vec<u8>, DType) {
    let dtype = if ty.dtype == DType::Bf16 { DType::F32 } else { ty.dtype };
    let name = ELEMENTS.iter().find(|(_, known)| *known == dtype).map_or("u1", |(name, _)| name);
    let order = if dtype.size_bytes() == 1 { '|' } else { '<' };
    let dims: Vec<String> = ty.shape.dims().iter().map(|extent| format!("{extent},")).collect();
    let mut text = format!("{{'descr': '{order}{name}', 'fortran_order': False, 'shape': ({}), }}", dims.join(" "));
    // So that elements begin at a multiple of 64 bytes, as NumPy has it; a shape's axes are too few for more than 65,535.
    let spaces = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64) - (MAGIC.len() + 4 + text.len() + 1);
    text.push_str(&" ".repeat(spaces));
    text.push('\n');
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    (([MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()), dtype)
}

/// The elements as they are written.
pub(super) fn elements_of(value: &Value, dtype: DType) -> Vec<u8> {
    if value.ty().dtype == dtype {
        return value.data().to_bytes();
    }
    let cast = |i: usize| -> Scalar { value.get(i).cast(dtype) };
    Value::from_fn(value.ty().with_dtype(dtype), cast).data().to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dictionary: &str, elements: &[u8]) -> Vec<u8> {
        [MAGIC, &[1, 0], &(dictionary.len() as u16).to_le_bytes(), dictionary.as_bytes(), elements].concat()
    }

    fn read(bytes: &[u8]) -> Result<Value, String> {
        let header = ArrayHeader::read(bytes).map_err(|(at, what)| format!("{at}: {what}"))?;
        header.value(&bytes[header.start..])
    }

    /// As `numpy.save(f, numpy.asarray([[1, 2, 3], [4, 5, 6]], dtype, order))` writes them.
    #[test]
    fn orders_of_bytes_and_axes_and_widths_are_read() {
        let want: Vec<f64> = (1..=6).map(f64::from).collect();
        let big = file(
            "{'descr': '>i2', 'fortran_order': False, 'shape': (2, 3), }\n",
            &[0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6],
        );
        let found = read(&big).unwrap();
        assert_eq!((found.ty().to_string().as_str(), found.to_f64_vec()), ("i16[2,3]", want.clone()));
        let columns: Vec<u8> = [1.0f32, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let fortran = file("{\"shape\": (2L, 3L), 'fortran_order': True, 'descr': '<f4'}", &columns);
        assert_eq!(read(&fortran).unwrap().to_f64_vec(), want);
        let large = file("{'descr': '<u4', 'fortran_order': False, 'shape': (1,)}", &[0xff; 4]);
        assert_eq!(read(&large).unwrap().data(), &Data::U32(vec![u32::MAX]));
        let low = file("{'descr': '<u2', 'fortran_order': False, 'shape': ()}", &[0xff; 2]);
        assert_eq!(read(&low).unwrap().data(), &Data::U16(vec![65535]));
    }

    #[test]
    fn headers_that_are_none_are_refused_at_their_place() {
        let refused = |dictionary: &str| read(&file(dictionary, &[])).unwrap_err();
        assert_eq!(refused(""), "10: `{` is missing");
        assert_eq!(refused("{'descr': '<f4', 'fortran_order': False}"), "50: the header has no entry `shape`");
        assert_eq!(refused("{'shape': (-1,)}"), "21: `` is no extent");
        assert_eq!(refused("{'shape': (99999999999999999999,)}"), "21: `99999999999999999999` is no extent");
        assert_eq!(refused("{'shape': (1 2)}"), "23: `,` or `)` is missing");
        assert_eq!(refused("{'fortran_order': 1}"), "28: `True` or `False` is missing");
        assert!(refused("{'descr': [('x', '<f4')]}").contains("several parts"));
        let complex = refused("{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}");
        assert!(complex.contains("`<c8` are not supported") && complex.contains("astype"), "{complex}");
        assert!(read(b"\x93NUMPY\x09\x00").unwrap_err().contains("version 9"));
        assert!(read(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").unwrap_err().contains("more than the 10000"));
        assert!(read(b"\x93NUMPY\x01\x00\xff\x00").unwrap_err().contains("cut off"));
    }

    #[test]
    fn written_headers_are_read_and_elements_begin_at_multiples_of_64_bytes() {
        for dims in [vec![], vec![3], vec![2, 5, 1, 7, 30_000]] {
            for dtype in DType::ALL {
                let ty = TensorType::new(dtype, Shape::new(&dims).unwrap());
                let (header, written) = header_of(&ty);
                let read = ArrayHeader::read(&header).unwrap();
                assert_eq!((read.start % 64, read.start), (0, header.len()));
                assert_eq!(read.ty().unwrap(), ty.with_dtype(written));
            }
        }
    }
}
