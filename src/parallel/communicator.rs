//! What processes say to one another.

use super::ParallelError;

/// The processes that train together, as one of them sees it. All calls but the questions and [`Communicator::abort`] are collective: every process makes them, in one order, with
/// buffers of one length, and waits in them for the others.
///
/// Sums are the same bits on all processes, and from run to run with as many processes: whoever implements this sees to the order in which they are added.
pub trait Communicator {
    /// Which process this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// How many of them run on this machine, this one included.
    fn local_size(&self) -> usize {
        self.size()
    }

    /// Each element becomes the sum of all processes' elements there, in one order.
    ///
    /// # Errors
    /// If another process has ended, or has given a buffer of another length.
    fn all_reduce(&self, buffer: &mut [f32]) -> Result<(), ParallelError>;

    /// The same in double precision.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    fn all_reduce_f64(&self, buffer: &mut [f64]) -> Result<(), ParallelError>;

    /// The blocks of all processes, one after the other by rank: `receive` is `size` times as long as `send`.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    fn all_gather(&self, send: &[u8], receive: &mut [u8]) -> Result<(), ParallelError>;

    /// The bytes become those of the process `root`.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    fn broadcast(&self, root: usize, bytes: &mut [u8]) -> Result<(), ParallelError>;

    /// Waits until all are here.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    fn barrier(&self) -> Result<(), ParallelError>;

    /// Ends the common work, because this process can't go on: the others fail where they wait, or are ended, and the message is shown. May not return.
    fn abort(&self, message: &str);
}

/// The blocks of all processes by rank, which may have any lengths.
pub(crate) fn gather_blocks(communicator: &dyn Communicator, own: &[u8]) -> Result<Vec<Vec<u8>>, ParallelError> {
    let size = communicator.size();
    let mut lengths = vec![0; size * 8];
    communicator.all_gather(&(own.len() as u64).to_le_bytes(), &mut lengths)?;
    let lengths: Vec<usize> = lengths.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b) as usize).collect();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    if longest == 0 {
        return Ok(vec![Vec::new(); size]);
    }
    let mut send = own.to_vec();
    send.resize(longest, 0);
    let mut all = vec![0; longest * size];
    communicator.all_gather(&send, &mut all)?;
    Ok(all.chunks(longest).zip(lengths).map(|(block, length)| block[..length].to_vec()).collect())
}

/// The block of rank 0, which may have any length; what others give isn't looked at.
pub(crate) fn share_block(communicator: &dyn Communicator, own: Vec<u8>) -> Result<Vec<u8>, ParallelError> {
    let mut length = (own.len() as u64).to_le_bytes();
    communicator.broadcast(0, &mut length)?;
    let mut block = own;
    block.resize(u64::from_le_bytes(length) as usize, 0);
    communicator.broadcast(0, &mut block)?;
    Ok(block)
}
