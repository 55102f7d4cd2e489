//! Tiles: calls of the functions that compute them.

use super::lir::Inst;
use super::unit::Unit;
use crate::error::{EmitError, unsupported};
use crate::tile::{NO_TILE, TileShape};
use kernel::Micro;

impl Unit<'_> {
    pub(super) fn tile(&mut self, micro: &Micro) -> Result<(), EmitError> {
        let shape = TileShape::of(self.kernel, micro)?;
        let Some(&function) = self.tiles.get(&shape) else { return unsupported(NO_TILE) };
        let a = self.address(micro.a.buf, &micro.a.base)?.mem()?;
        let b = self.address(micro.b.buf, &micro.b.base)?.mem()?;
        let c = self.address(micro.c.buf, &micro.c.base)?.mem()?;
        self.push(Inst::Call { function, args: [a, b, c] });
        Ok(())
    }
}
