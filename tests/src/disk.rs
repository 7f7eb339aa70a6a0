//! Disks of a test's own, which root may mount: a small one that can be filled and freed, and one that becomes read-only.
//! Dropping them unmounts them.

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

/// A disk that becomes read-only in the midst of writing, as one with errors does, and can be repaired.
pub struct FailingDisk {
    folder: PathBuf,
    image: PathBuf,
}

impl FailingDisk {
    /// Makes the folder and mounts a disk there; or says why we cannot.
    pub fn mount(folder: &Path) -> Result<FailingDisk, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("mounting an image needs root".to_owned());
        }
        fs::create_dir(folder).expect("room");
        let disk = FailingDisk { folder: folder.to_owned(), image: folder.with_extension("image") };
        fs::File::create(&disk.image).and_then(|file| file.set_len(16 << 20)).expect("room");
        try_run(Command::new("mkfs.ext4").args(["-q", "-F", "-e", "remount-ro"]).arg(&disk.image))?;
        disk.try_attach()?;
        Ok(disk)
    }

    fn try_attach(&self) -> Result<(), String> {
        try_run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.folder))
    }

    /// From now on nothing can be written, whoever has a file open.
    pub fn fail(&self) {
        let mounts = fs::read_to_string("/proc/mounts").expect("procfs");
        let folder = fs::canonicalize(&self.folder).expect("it is there");
        let own =
            mounts.lines().find(|line| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == folder));
        let device = own.and_then(|line| line.split(' ').next()).expect("it is mounted");
        let name = Path::new(device).file_name().expect("a device").to_string_lossy().into_owned();
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "tried by a test")
            .expect("ext4 lets root");
    }

    /// What an administrator does.
    pub fn repair(&self) {
        try_run(Command::new("umount").arg(&self.folder)).expect("nobody uses it");
        // 1: errors were corrected.
        let checked = Command::new("e2fsck").args(["-f", "-y"]).arg(&self.image).output().expect("it runs");
        assert!(checked.status.code().is_some_and(|code| code <= 1), "{checked:?}");
        self.try_attach().expect("it was mounted before");
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

fn try_run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = || format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    output.status.success().then_some(()).ok_or_else(said)
}
