//! How long each launch takes.

use crate::{Executable, StepError};
use std::time::{Duration, Instant};

/// The time of one launch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaunchTime {
    /// The kernel's name.
    pub kernel: String,
    /// The fastest of all runs.
    pub best: Duration,
}

impl Executable {
    /// Runs the program `runs` times, launch by launch on the calling thread alone, and gives each launch's fastest time. It has the
    /// effects of as many steps.
    ///
    /// # Errors
    /// If a check failed; see [`StepError`].
    pub fn profile(&mut self, runs: usize) -> Result<Vec<LaunchTime>, StepError> {
        self.require_states()?;
        let mut best = vec![Duration::MAX; self.loaded.launches().len()];
        for _ in 0..runs {
            for (at, best) in best.iter_mut().enumerate() {
                let start = Instant::now();
                let status = self.run_launch(at);
                *best = start.elapsed().min(*best);
                self.check(status)?;
            }
        }
        let loaded = self.loaded();
        let names = loaded.launches().iter().map(|l| &loaded.kernels()[l.kernel as usize].name);
        Ok(names.zip(best).map(|(kernel, best)| LaunchTime { kernel: kernel.clone(), best }).collect())
    }

    pub(crate) fn run_launch(&mut self, at: usize) -> i32 {
        let (function, extent) = self.loaded.launch_function(at);
        let args = self.loaded.launch_args(at);
        // SAFETY: as in `step`: a verified kernel with the addresses of this launch's parameters, its whole range of iterations, and
        // scratch memory that no other thread uses, since workers are idle outside of steps.
        unsafe { function(self.args[args..].as_ptr(), self.team.caller_scratch(), 0, extent) }
    }
}
