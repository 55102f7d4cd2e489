//! Aligned, zeroed memory.

use crate::{Element, LoadError};
use memmap2::{MmapMut, MmapRaw};

/// A cache line; also what the widest vectors want.
pub const ALIGN: usize = 64;

/// From this size on the system is asked for large pages: fewer of them to make, and to find again.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;

/// A stretch of memory that starts at a multiple of a page, so of [`ALIGN`], and holds zeros at first. The system makes its pages when they are
/// first touched.
pub(crate) struct Arena {
    map: MmapRaw,
    bytes: usize,
}

impl Arena {
    /// Allocates `bytes` zeros.
    pub(crate) fn new(bytes: usize, what: &'static str) -> Result<Self, LoadError> {
        let map = MmapMut::map_anon(bytes.max(1)).map_err(|_| LoadError::OutOfMemory { what, bytes })?;
        #[cfg(target_os = "linux")]
        if bytes >= LARGE {
            // Where there are none, it does with small ones.
            drop(map.advise(memmap2::Advice::HugePage));
        }
        Ok(Self { map: map.into(), bytes })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The address of a byte.
    ///
    /// # Panics
    /// If it lies outside; offsets are checked at loading.
    pub(crate) fn address(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.bytes, "offset {offset} in an arena of {} bytes", self.bytes);
        // SAFETY: the offset was just checked to lie within the allocation or at its end.
        unsafe { self.map.as_mut_ptr().add(offset) }
    }

    fn check<T>(&self, offset: usize, len: usize) {
        let end = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(offset));
        assert!(end.is_some_and(|end| end <= self.bytes), "a slice of the arena ends outside");
        assert!(offset.is_multiple_of(align_of::<T>()), "a slice of the arena is misaligned");
    }

    /// Elements in the arena.
    pub(crate) fn slice<T: Element>(&self, offset: usize, len: usize) -> &[T] {
        self.check::<T>(offset, len);
        // SAFETY: in bounds and aligned (just checked; the arena itself is aligned for every element type), initialized since the
        // allocation, any bits are a value of T, and nobody writes while `self` is borrowed: code runs on `&mut Executable`.
        unsafe { std::slice::from_raw_parts(self.address(offset).cast::<T>(), len) }
    }

    /// Elements in the arena, to write.
    pub(crate) fn slice_mut<T: Element>(&mut self, offset: usize, len: usize) -> &mut [T] {
        self.check::<T>(offset, len);
        // SAFETY: as in `slice`, and the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.address(offset).cast::<T>(), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arena_is_aligned_and_zeroed() {
        let arena = Arena::new(4096, "test").unwrap();
        assert_eq!(arena.address(0) as usize % ALIGN, 0);
        assert!(arena.slice::<u8>(0, 4096).iter().all(|&b| b == 0));
    }

    #[test]
    fn a_size_that_no_machine_has_is_an_error() {
        for bytes in [usize::MAX, usize::MAX / 4] {
            assert!(matches!(Arena::new(bytes, "test"), Err(LoadError::OutOfMemory { .. })));
        }
    }

    #[test]
    #[should_panic(expected = "ends outside")]
    fn a_slice_beyond_the_end_is_refused() {
        Arena::new(64, "test").unwrap().slice::<f32>(32, 9);
    }
}
