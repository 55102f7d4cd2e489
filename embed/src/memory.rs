//! Memory that steps work on: elements, aligned as the widest vectors want them.

use crate::StepFailure;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// What states, scratch memory and ports are aligned to: a cache line, and the widest vector.
pub const ALIGN: usize = 64;

mod sealed {
    /// # Safety
    /// All bits 0 must be a value.
    #[expect(unnameable_types, reason = "sealed: nobody else is to implement it")]
    pub unsafe trait Zeroable {}
}

/// A Rust type of a port's or a state's elements: `f32`, `f64`, `bool`, integers from `i8` to `i64` and from `u8` to `u64`, of which `u16` is also for the bits of `bf16` and
/// `f16`.
pub trait PortElement: sealed::Zeroable + Copy + Send + Sync + 'static {
    /// The type's name, for messages.
    const NAME: &'static str;

    /// Whether elements of this type in a graph's text are of this one: `f32`, `bf16`.
    fn holds(dtype: &str) -> bool;
}

macro_rules! elements {
    ($($ty:ident: $($dtype:literal)|+;)*) => {$(
        // SAFETY: 0 is a value of each number's type, and `false` is a byte of 0.
        unsafe impl sealed::Zeroable for $ty {}

        impl PortElement for $ty {
            const NAME: &'static str = stringify!($ty);

            fn holds(dtype: &str) -> bool {
                matches!(dtype, $($dtype)|+)
            }
        }
    )*};
}

elements! {
    f32: "f32";
    f64: "f64";
    i32: "i32";
    i64: "i64";
    i16: "i16";
    i8: "i8";
    u64: "u64";
    u32: "u32";
    u8: "u8";
    u16: "u16" | "bf16" | "f16";
    bool: "bool";
}

/// So many elements, at a multiple of [`ALIGN`] bytes. It is a slice.
pub struct AlignedBox<T> {
    start: NonNull<T>,
    len: usize,
}

// SAFETY: it owns its elements, as a `Box<[T]>` does.
unsafe impl<T: Send> Send for AlignedBox<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for AlignedBox<T> {}

impl<T: PortElement> AlignedBox<T> {
    /// So many zeros.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub fn zeros(len: usize) -> Result<Self, StepFailure> {
        let bytes = len.saturating_mul(size_of::<T>());
        let layout = Self::layout(len).ok_or(StepFailure::OutOfMemory { bytes })?;
        // SAFETY: the layout has at least a byte.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<T>());
        Ok(Self { start: start.ok_or(StepFailure::OutOfMemory { bytes })?, len })
    }

    /// Copies values in.
    ///
    /// # Errors
    /// If they aren't as many.
    pub fn write(&mut self, values: &[T]) -> Result<(), StepFailure> {
        if values.len() != self.len {
            let name = format!("[{}; {}]", T::NAME, self.len);
            return Err(StepFailure::Length { name, found: values.len(), expected: self.len });
        }
        self.copy_from_slice(values);
        Ok(())
    }
}

impl<T> AlignedBox<T> {
    /// Where so many elements are; at least a byte.
    fn layout(len: usize) -> Option<Layout> {
        Layout::from_size_align(len.checked_mul(size_of::<T>())?.max(1), ALIGN).ok()
    }
}

impl<T> Deref for AlignedBox<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: there are so many elements, aligned and initialized since they were allocated, and nobody writes them while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for AlignedBox<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for AlignedBox<T> {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len) {
            // SAFETY: it was allocated with this very layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for AlignedBox<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_aligned_zeros_and_lengths_are_checked() {
        for len in [0, 1, 7, 4096] {
            let mut values = AlignedBox::<f64>::zeros(len).unwrap();
            assert!(
                (values.as_ptr() as usize).is_multiple_of(ALIGN)
                    && values.len() == len
                    && values.iter().all(|v| *v == 0.0)
            );
            values.write(&vec![2.0; len]).unwrap();
            assert!(values.iter().all(|v| *v == 2.0));
            let message = values.write(&vec![2.0; len + 1]).unwrap_err().to_string();
            assert!(message.contains(&format!("has {len} elements, and was given {}", len + 1)), "{message}");
        }
        assert!(matches!(AlignedBox::<f32>::zeros(usize::MAX / 2), Err(StepFailure::OutOfMemory { .. })));
    }
}
