//! Windows of pooling and of convolutions: which places have which taps inside, and in which form a window is lowered. The passes that
//! choose a graph's form ask here, and so does `lower`, which relies on it.

mod pieces;
mod regions;

pub(crate) use pieces::{Piece, margins, of_places, of_windows};
pub(crate) use regions::{DEPTHWISE_PLACES, TapRun, depthwise_in_regions, in_regions, runs};

use ir::DType;
use ir::op::window::Window;

/// Remainders by the strides, together, of which each becomes loops of its own.
const MAX_REMAINDERS: usize = 16;

/// True if the windows stand side by side: an element of the input belongs to one tap of one window, but for those behind the last one.
pub(crate) fn tiles(window: &Window) -> bool {
    window.size == window.stride && window.dilation.iter().all(|&d| d == 1)
}

/// True if an element of a gradient is stored once, when it is known, and elementwise ops on it may follow there.
pub(crate) fn stores_once(window: &Window) -> bool {
    tiles(window) || by_places(window)
}

/// True if a gradient walks the places of the input rather than windows.
pub(crate) fn by_places(window: &Window) -> bool {
    !tiles(window) && remainders(window).is_some()
}

/// How many remainders by the strides there are, if they are few enough to be walked one after the other.
pub(crate) fn remainders(window: &Window) -> Option<usize> {
    let all = window.stride.iter().try_fold(1usize, |n, &stride| n.checked_mul(stride));
    all.filter(|&n| n <= MAX_REMAINDERS)
}

/// The integers that number taps beside elements of a type: of the same size, as vectors need.
pub(crate) fn tap_type(element: DType) -> DType {
    if element.size_bytes() == 8 { DType::I64 } else { DType::I32 }
}
