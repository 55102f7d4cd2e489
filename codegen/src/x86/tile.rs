//! Tiles: calls of the functions that compute them.

use super::lir::Inst;
use super::unit::Unit;
use crate::error::{EmitError, unsupported};
use crate::tile::TileShape;
use kernel::Micro;

impl Unit<'_> {
    pub(super) fn tile(&mut self, micro: &Micro) -> Result<(), EmitError> {
        let Some(shape) = TileShape::of(self.kernel, micro, self.target) else {
            return unsupported("a tile that doesn't fit the registers");
        };
        let Some(&function) = self.tiles.get(&shape) else { return unsupported("a tile that isn't assembled") };
        let a = self.address(micro.a.buf, &micro.a.base)?.mem()?;
        let b = self.address(micro.b.buf, &micro.b.base)?.mem()?;
        let c = self.address(micro.c.buf, &micro.c.base)?.mem()?;
        self.push(Inst::Call { function, args: [a, b, c] });
        Ok(())
    }
}
