//! Aligned, zeroed memory.

use crate::{Element, LoadError};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// A cache line; also what the widest vectors want.
pub(crate) const ALIGN: usize = 64;

/// A stretch of memory that starts at a multiple of [`ALIGN`] and holds zeros at first.
pub(crate) struct Arena {
    start: NonNull<u8>,
    layout: Layout,
    bytes: usize,
}

// SAFETY: the memory is owned by this value alone, and its contents are plain bytes.
unsafe impl Send for Arena {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for Arena {}

impl Arena {
    /// Allocates `bytes` zeros.
    pub(crate) fn new(bytes: usize, what: &'static str) -> Result<Self, LoadError> {
        let refused = || LoadError::OutOfMemory { what, bytes };
        let layout = Layout::from_size_align(bytes.max(ALIGN), ALIGN).map_err(|_| refused())?;
        // SAFETY: the layout's size is not 0.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(refused)?;
        Ok(Self { start, layout, bytes })
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
        unsafe { self.start.as_ptr().add(offset) }
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

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and nobody holds a reference into it any more.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
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
