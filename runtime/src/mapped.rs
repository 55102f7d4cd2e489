//! Files read where they lie: the system brings in the pages that are looked at.

use memmap2::Mmap;
use std::fs::File;
use std::path::Path;

/// The bytes of a file, mapped to be read. They must stay as they are while it is mapped: a file that somebody writes anew has to be put in the old one's place by renaming,
/// as gradc does with its own. Who cuts a mapped file short ends the process at the next look beyond the cut.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps a whole file. An empty one has no bytes.
    ///
    /// # Errors
    /// If it can't be opened, or is nothing that can be mapped: a folder, a device.
    pub fn open(path: impl AsRef<Path>) -> std::io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        // SAFETY: the map is private, only read, and lives as long as the value; its bytes are integers, valid whatever they are. That nobody changes them meanwhile is what
        // the type's documentation asks for; the system itself ends a process that looks beyond a file's new end.
        let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(&file)? };
        Ok(Self(map))
    }
}

impl std::ops::Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_bytes_and_a_folder_is_none() {
        let path = std::env::current_exe().unwrap();
        assert_eq!(MappedFile::open(&path).unwrap()[..4], std::fs::read(&path).unwrap()[..4]);
        let folder = path.parent().unwrap();
        assert!(MappedFile::open(folder).is_err());
        assert!(MappedFile::open(folder.join("no such file")).is_err());
        #[cfg(unix)]
        assert!(MappedFile::open("/dev/null").is_err());
        let empty = folder.join(format!("empty-{}", std::process::id()));
        std::fs::write(&empty, b"").unwrap();
        assert!(MappedFile::open(&empty).unwrap().is_empty());
        std::fs::remove_file(empty).unwrap();
    }
}
