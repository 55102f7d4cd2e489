//! Walks over the places of a tensor, piece by piece.

use super::walk::{Cluster, Tap};
use crate::PassError;
use crate::lower::Lowering;
use crate::lower::cx::{Placed, flatten};
use crate::lower::expr::ValueEmitter;
use crate::window::Piece;
use ir::op::window::Window;
use ir::{DType, Scalar, ScalarOp, Shape};
use kernel::{Affine, IndexExpr};

/// Fewer images are too few for threads to share: the pieces of the first spatial axis are shared instead.
const MIN_IMAGES: usize = 8;
/// Pieces of the first spatial axis with fewer elements, together, are one kernel.
const MIN_SHARED: usize = 16 << 10;

/// One place in one piece along each spatial axis.
pub(super) struct Here<'w> {
    window: &'w Window,
    /// Its coordinates, those of the image and the channel among them.
    pub(super) place: Vec<Affine>,
    /// Which place of its piece it is, along each spatial axis.
    steps: Vec<Affine>,
    pieces: Vec<Piece>,
}

impl<'w> Here<'w> {
    /// How many taps there are along each spatial axis, inside for some of the places in these pieces.
    pub(super) fn taps(&self) -> Vec<usize> {
        self.pieces.iter().map(|piece| piece.taps as usize).collect()
    }

    /// The coordinates of every tap, in order.
    pub(super) fn each_tap(&self) -> Vec<Vec<Affine>> {
        let taps = self.taps();
        let coordinate = |tap: usize, axis: usize| tap / taps[axis + 1..].iter().product::<usize>() % taps[axis];
        let of_tap = |tap| (0..taps.len()).map(|axis| Affine::constant(coordinate(tap, axis) as i64)).collect();
        (0..taps.iter().product()).map(of_tap).collect()
    }

    /// Where a tap reads, and whether that is inside.
    pub(super) fn tap(&self, emit: &mut ValueEmitter<'_, '_>, tap: &[Affine]) -> Tap {
        let mut at = vec![self.place[0].clone()];
        let mut inside: Option<Placed> = None;
        for ((piece, step), tap) in self.pieces.iter().zip(&self.steps).zip(tap) {
            let place = step.scale(piece.per_place).add(&tap.scale(piece.per_tap)).plus(piece.at);
            let (lo, hi) = emit.cx.range(&place);
            let level = emit.cx.level_of(&place);
            for (op, bound) in [(ScalarOp::GE, 0), (ScalarOp::LT, piece.extent)] {
                if if bound == 0 { lo >= 0 } else { hi < bound } {
                    continue;
                }
                let value = emit.cx.index_value(&place, DType::I32);
                let bound = emit.cx.constant(Scalar::I32(bound as i32));
                let test = emit.cx.apply(op, &[value, bound]);
                inside = Some(match inside {
                    Some(all) => emit.cx.apply(ScalarOp::AND, &[all, test]),
                    None => test,
                });
            }
            let certain = lo >= 0 && hi < piece.extent;
            let clamped = IndexExpr::Clamp(place.clone(), 0, piece.extent - 1);
            at.push(if certain { place } else { emit.cx.let_index(clamped, level) });
        }
        at.push(self.place[self.place.len() - 1].clone());
        Tap { at, inside }
    }

    /// The tap's number in its window, as an index.
    pub(super) fn number(&self, tap: &[Affine]) -> Affine {
        let of_window = |(piece, tap): (&Piece, &Affine)| tap.scale(piece.tap_step).plus(piece.first_tap);
        let taps: Vec<Affine> = self.pieces.iter().zip(tap).map(of_window).collect();
        flatten(&taps, &self.window.size)
    }
}

/// What is done at each place.
pub(super) type PositionBody<'b> = dyn FnMut(&mut ValueEmitter<'_, '_>, &Here<'_>) -> Result<(), PassError> + 'b;

/// A walk over all places of a tensor: images, pieces along each spatial axis, channels.
pub(super) struct SpatialNest<'w> {
    pub(super) window: &'w Window,
    pub(super) shape: Shape,
    pub(super) axes: Vec<Vec<Piece>>,
}

impl SpatialNest<'_> {
    /// The kernels of the walk. Threads share images; where there are few, the places along the first spatial axis.
    pub(super) fn lower(
        &self,
        lowering: &mut Lowering<'_>,
        cluster: &Cluster<'_>,
        body: &mut PositionBody<'_>,
    ) -> Result<(), PassError> {
        let name = lowering.kernel_name(&[cluster.anchor]);
        let [first, rest @ ..] = self.axes.as_slice() else { return Ok(()) };
        let row = self.shape.numel() / self.shape[1];
        let by_image = self.shape[0] >= MIN_IMAGES || first.len() == 1;
        let mut pieces = first.iter().peekable();
        while let Some(piece) = pieces.peek() {
            let mut emit = ValueEmitter::new(lowering, Some(cluster.number));
            emit.cx.floor = 1;
            if by_image {
                let image = Affine::term(emit.cx.open(self.shape[0]), 1);
                self.along(&mut emit, &self.axes, &mut self.start(image), body)?;
                emit.finish(name);
                return Ok(());
            }
            let mut elements = piece.count as usize * row;
            let mut next = pieces.next();
            while let Some(piece) = next {
                let step = emit.cx.open(piece.count as usize);
                let image = Affine::term(emit.cx.open(self.shape[0]), 1);
                let mut here = self.start(image);
                push(&mut here, piece, step);
                self.along(&mut emit, rest, &mut here, body)?;
                emit.cx.close_to(0);
                emit.values.drop_below(0);
                next = pieces.next_if(|piece| elements + piece.count as usize * row < MIN_SHARED);
                elements += next.map_or(0, |piece| piece.count as usize * row);
            }
            emit.finish(name.clone());
        }
        Ok(())
    }

    fn start(&self, image: Affine) -> Here<'_> {
        Here { window: self.window, place: vec![image], steps: vec![], pieces: vec![] }
    }

    /// The loops along the axes that are left.
    fn along(
        &self,
        emit: &mut ValueEmitter<'_, '_>,
        axes: &[Vec<Piece>],
        here: &mut Here<'_>,
        body: &mut PositionBody<'_>,
    ) -> Result<(), PassError> {
        let depth = emit.cx.depth();
        let Some((pieces, rest)) = axes.split_first() else {
            let channels = self.shape[self.shape.rank() - 1];
            here.place.push(Affine::term(emit.cx.open(channels), 1));
            body(emit, here)?;
            here.place.pop();
            emit.cx.close_to(depth);
            emit.values.drop_below(depth);
            return Ok(());
        };
        for piece in pieces {
            let step = emit.cx.open(piece.count as usize);
            push(here, piece, step);
            self.along(emit, rest, here, body)?;
            here.place.pop();
            here.steps.pop();
            here.pieces.pop();
            emit.cx.close_to(depth);
            emit.values.drop_below(depth);
        }
        Ok(())
    }
}

fn push(here: &mut Here<'_>, piece: &Piece, step: kernel::IndexVar) {
    let step = Affine::term(step, 1);
    here.place.push(step.scale(piece.step).plus(piece.start));
    here.steps.push(step);
    here.pieces.push(piece.clone());
}
