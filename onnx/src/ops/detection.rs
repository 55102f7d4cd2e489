//! Boxes that detectors found: which of those that overlap stay.

use crate::call::{Call, Results, one};
use crate::error::Refusal;
use crate::item::KnownTensor;
use crate::table::{OpEntry, op};
use ir::Data;

/// The operators.
pub(super) const OPS: &[OpEntry] = &[op("NonMaxSuppression", &[10, 11], non_max_suppression)];

/// The most pairs of boxes that are compared at import.
const MOST_PAIRS: usize = 1 << 24;

/// A box by its edges, the lesser of each two first.
#[derive(Clone, Copy)]
struct Edges {
    along: [(f32, f32); 2],
}

impl Edges {
    /// Of two opposite corners `y1, x1, y2, x2`, or of a centre and extents `x, y, width, height`.
    fn new(box_: &[f32], is_centred: bool) -> Self {
        let along = match *box_ {
            [x, y, width, height] if is_centred => {
                [(x - width / 2.0, x + width / 2.0), (y - height / 2.0, y + height / 2.0)]
            }
            [y1, x1, y2, x2] => [(y1.min(y2), y1.max(y2)), (x1.min(x2), x1.max(x2))],
            _ => [(0.0, 0.0); 2],
        };
        Self { along }
    }

    fn area(self) -> f32 {
        self.along.iter().map(|(low, high)| high - low).product()
    }

    /// Whether what both cover is more than this part of what either covers.
    fn overlaps(self, other: Self, threshold: f32) -> bool {
        let shared = |axis: usize| {
            let ((low, high), (other_low, other_high)) = (self.along[axis], other.along[axis]);
            (high.min(other_high) - low.max(other_low)).max(0.0)
        };
        let both = shared(0) * shared(1);
        let either = self.area() + other.area() - both;
        self.area() > 0.0 && other.area() > 0.0 && either > 0.0 && both / either > threshold
    }
}

/// Of each class of each image the boxes by falling score, but for those that overlap one that stays: `[n, 3]` of image, class, and box. Their number is a shape, so that boxes and
/// scores must be known.
fn non_max_suppression(c: &mut Call<'_, '_>) -> Results {
    let (boxes, scores) = (c.dims(0)?, c.dims(1)?);
    let &[images, count, 4] = &boxes[..] else { return Err(Refusal::broken(format!("boxes are {boxes:?}"))) };
    let &[of_images, classes, of_boxes] = &scores[..] else {
        return Err(Refusal::broken(format!("scores are {scores:?}")));
    };
    if (images, count) != (of_images, of_boxes) {
        return Err(Refusal::broken(format!("boxes {boxes:?} don't go with scores {scores:?}")));
    }
    let most = if c.has(2) { usize::try_from(c.single_int(2)?).unwrap_or(0) } else { 0 };
    let threshold = |i: usize| c.optional_floats(i).map(|all| all.and_then(|all| all.first().map(|&t| t as f32)));
    let (overlap, least) = (threshold(3)?.unwrap_or(0.0), threshold(4)?);
    let floats =
        |i: usize| c.known(i).map(|known| known.to_floats().into_iter().map(|x| x as f32).collect::<Vec<f32>>());
    let (corners, scores) = (floats(0)?, floats(1)?);
    let pairs = [images, classes, count].iter().try_fold(most.min(count), |n, &d| n.checked_mul(d));
    if pairs.is_none_or(|pairs| pairs > MOST_PAIRS) {
        return Err(Refusal::Limit(format!("{most} of {count} boxes of {classes} classes of {images} images")));
    }
    let is_centred = c.flag("center_point_box", false);
    let edges: Vec<Edges> = corners.chunks_exact(4).map(|corners| Edges::new(corners, is_centred)).collect();
    let mut rows = vec![];
    for (at, scores) in scores.chunks_exact(count.max(1)).enumerate() {
        let (image, class) = (at / classes, at % classes);
        let of_image = &edges[image * count..(image + 1) * count];
        let staying = suppressed(of_image, scores, (overlap, least), most);
        rows.extend(staying.into_iter().flat_map(|kept| [image as i64, class as i64, kept as i64]));
    }
    one(KnownTensor::new(&[rows.len() / 3, 3], Data::I64(rows))?)
}

/// The numbers of the boxes that stay, at most `most`.
fn suppressed(boxes: &[Edges], scores: &[f32], (overlap, least): (f32, Option<f32>), most: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).filter(|&i| least.is_none_or(|least| scores[i] > least)).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut kept: Vec<usize> = vec![];
    for candidate in order {
        if kept.len() >= most {
            break;
        }
        if !kept.iter().any(|&other| boxes[candidate].overlaps(boxes[other], overlap)) {
            kept.push(candidate);
        }
    }
    kept
}
