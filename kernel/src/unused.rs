//! Clearing a program of what it doesn't need.

use crate::{BufferId, BufferKind, Program};

impl Program {
    /// Removes kernels that nothing launches, and temporary buffers that nothing uses. Those that stay keep their order.
    pub fn remove_unused(&mut self) {
        let mut kernels = vec![None; self.kernels.len()];
        for launch in &self.launches {
            kernels[launch.kernel as usize] = Some(0);
        }
        renumber(&mut self.kernels, &mut kernels);
        let mut buffers: Vec<Option<u32>> =
            self.buffers.iter().map(|b| (b.kind != BufferKind::Temp).then_some(0)).collect();
        for arg in self.launches.iter().flat_map(|l| &l.args) {
            buffers[arg.0 as usize] = Some(0);
        }
        renumber(&mut self.buffers, &mut buffers);
        for launch in &mut self.launches {
            launch.kernel = kernels[launch.kernel as usize].unwrap_or_default();
            for arg in &mut launch.args {
                *arg = BufferId(buffers[arg.0 as usize].unwrap_or_default());
            }
        }
    }
}

/// Keeps the items that have a number, and says which they have now.
fn renumber<T>(items: &mut Vec<T>, numbers: &mut [Option<u32>]) {
    for (next, number) in numbers.iter_mut().flatten().enumerate() {
        *number = next as u32;
    }
    let mut kept = numbers.iter().map(Option::is_some);
    items.retain(|_| kept.next().unwrap_or(false));
}
