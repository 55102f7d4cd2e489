//! A process by itself.

use super::{Communicator, ParallelError};

/// One process: all that is collective does nothing, and a training with it is that without a communicator, by the same program.
#[derive(Clone, Copy, Default, Debug)]
pub struct SingleProcess;

impl Communicator for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_reduce(&self, _: &mut [f32]) -> Result<(), ParallelError> {
        Ok(())
    }

    fn all_reduce_f64(&self, _: &mut [f64]) -> Result<(), ParallelError> {
        Ok(())
    }

    fn all_gather(&self, send: &[u8], receive: &mut [u8]) -> Result<(), ParallelError> {
        if send.len() != receive.len() {
            return Err(ParallelError::Length { rank: 0, found: receive.len(), expected: send.len() });
        }
        receive.copy_from_slice(send);
        Ok(())
    }

    fn broadcast(&self, _: usize, _: &mut [u8]) -> Result<(), ParallelError> {
        Ok(())
    }

    fn barrier(&self) -> Result<(), ParallelError> {
        Ok(())
    }

    fn abort(&self, _: &str) {}
}
