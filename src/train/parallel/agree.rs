//! What processes agree on before and between steps.

use crate::dsl::StateRole;
use crate::io::TensorFile;
use crate::parallel::{Communicator, ParallelError, gather_blocks, share_block};
use crate::train::checkpoint::RunSettings;
use crate::train::{TrainError, Trainer};
use ir::{Data, Value, map_of};

/// Refuses what isn't alike in all processes, in all of them.
pub(in crate::train) fn check_alike(
    settings: &RunSettings,
    communicator: &dyn Communicator,
) -> Result<(), ParallelError> {
    let lines: Vec<String> = settings.iter().map(|(what, value)| format!("{what}\0{value}")).collect();
    let blocks = gather_blocks(communicator, lines.join("\x01").as_bytes())?;
    let texts: Vec<String> = blocks.iter().map(|block| String::from_utf8_lossy(block).into_owned()).collect();
    let lines = |text: &str| {
        let line = |line: &str| line.split_once('\0').map(|(what, value)| (what.to_string(), value.to_string()));
        map_of(text.split('\x01').filter_map(line))
    };
    let mut all = texts.iter().map(|text| lines(text));
    let first = all.next().unwrap_or_default();
    let none = || "nothing".to_string();
    for (other, rank) in all.zip(1..) {
        for what in first.keys().chain(other.keys()) {
            let of = |settings: &RunSettings| settings.get(what).cloned().unwrap_or_else(none);
            let (of_first, of_other) = (of(&first), of(&other));
            if of_first != of_other {
                return Err(ParallelError::Different { what: what.clone(), of_first, rank, of_other });
            }
        }
    }
    Ok(())
}

/// All states become those of rank 0.
pub(in crate::train) fn share_states(trainer: &mut Trainer, communicator: &dyn Communicator) -> Result<(), TrainError> {
    let mut states = trainer.programs.states(|role| role != StateRole::Cache)?;
    let own: Vec<u8> = states.values().flat_map(|value| value.data().to_bytes()).collect();
    let shared = share_block(communicator, own)?;
    let mut rest = &shared[..];
    for value in states.values_mut() {
        let size = value.ty().size_bytes();
        let Some((bytes, after)) = rest.split_at_checked(size) else {
            let (what, of_first) = ("the number of bytes of all states".to_string(), shared.len().to_string());
            let (rank, of_other) = (communicator.rank(), "more".to_string());
            return Err(ParallelError::Different { what, of_first, rank, of_other }.into());
        };
        let data = Data::from_bytes(value.ty().dtype, bytes);
        *value = Value::new(value.ty().clone(), data).map_err(|e| TrainError::Setting(e.to_string()))?;
        rest = after;
    }
    trainer.programs.set_states(states)
}

/// The checkpoint that rank 0 has found, for the others: a copy in a temporary folder, which lives as long as the value that comes with it.
pub(in crate::train) fn share_checkpoint(
    found: Option<&TensorFile>,
    communicator: &dyn Communicator,
) -> Result<Option<(TensorFile, tempfile::TempDir)>, TrainError> {
    let read = |file: &TensorFile| {
        std::fs::read(file.path()).map_err(|source| TrainError::Log { path: file.path().into(), source })
    };
    let own = found.map(read).transpose()?.unwrap_or_default();
    let shared = share_block(communicator, own)?;
    if shared.is_empty() || communicator.rank() == 0 {
        return Ok(None);
    }
    let dir = std::env::temp_dir();
    let failed = |source| TrainError::Log { path: dir.clone(), source };
    let folder = tempfile::tempdir().map_err(failed)?;
    let path = folder.path().join("checkpoint.safetensors");
    std::fs::write(&path, shared).map_err(failed)?;
    let file = TensorFile::open(&path)?;
    file.check_seal()?;
    Ok(Some((file, folder)))
}

/// Whether one process has stopped the training: then all have.
pub(in crate::train) fn stop_together(
    stopped: &mut Option<String>,
    communicator: &dyn Communicator,
) -> Result<(), ParallelError> {
    let mut flags = vec![0; communicator.size()];
    communicator.all_gather(&[u8::from(stopped.is_some())], &mut flags)?;
    if let (None, Some(rank)) = (&stopped, flags.iter().position(|flag| *flag != 0)) {
        *stopped = Some(format!("rank {rank} has stopped the training"));
    }
    Ok(())
}

/// Whether all processes have an error alike, so that none waits for another.
pub(in crate::train) fn is_common(error: &TrainError) -> bool {
    match error {
        TrainError::Diverged { fault, .. } => fault.is_none(),
        TrainError::Parallel(ParallelError::Different { .. }) => true,
        _ => false,
    }
}
