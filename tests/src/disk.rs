//! A small disk that can be filled and freed: a tmpfs, which root may mount. Dropping it unmounts it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Its size, in MiB.
const SIZE: usize = 4;

/// See the module.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Makes the folder and mounts a disk there; `None`, and a plain folder, if we may not.
    pub fn mount(folder: &Path) -> Option<SmallDisk> {
        fs::create_dir(folder).expect("room");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SIZE}m"), "tmpfs"]).arg(folder);
        let may = nix::unistd::geteuid().is_root();
        (may && mount.status().is_ok_and(|status| status.success())).then(|| SmallDisk(folder.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves no room.
    pub fn fill(&self) {
        let filled = fs::write(self.filler(), vec![1; SIZE << 20]);
        assert!(filled.is_err(), "the disk holds something already");
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At once for everybody else, whoever has a file open still.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
