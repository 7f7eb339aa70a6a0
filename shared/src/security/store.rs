//! Private files: how they are written, and which ones are refused.
//!
//! It deliberately does not know what the files hold.
//!
//! Invariants: what is written here is readable by its owner alone from its first byte on, and appears under its name
//! complete or not at all; what is read has been opened first and judged then, so it cannot be exchanged in between;
//! opening never waits (a pipe under the name is refused, not read).

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::geteuid};

/// The longest file that is read; an access file has about 3 KiB.
pub const LONGEST: u64 = 64 << 10;

/// Why a private file or directory is of no use. Every line names the path and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot open {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} is not a {wanted}; give the path of one")]
    WrongKind { path: PathBuf, wanted: &'static str },
    #[error("{path} belongs to user {owner}, not to you (user {me}); make a copy of your own")]
    OtherOwner { path: PathBuf, owner: u32, me: u32 },
    #[error("{path} is open to other users (mode {mode:04o}); run: chmod {wanted:o} {path}")]
    TooOpen { path: PathBuf, mode: u32, wanted: u32 },
    #[error("{path} is longer than {LONGEST} bytes and so not one of maniple's files; check the path")]
    TooLong { path: PathBuf },
    #[error("{path} is not text; check the path, or copy the file again")]
    NotText { path: PathBuf },
}

/// What kind of thing is expected under a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
}

/// Reads a file that must be ours alone; a symbolic link is followed and its target judged.
///
/// # Errors
/// Every [`StoreError`] but `Write`.
pub fn read_private(path: &Path) -> Result<String, StoreError> {
    let open_error = |source| StoreError::Open { path: path.into(), source };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(open_error)?;
    judge(path, &file.metadata().map_err(open_error)?, Kind::File)?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(open_error)?;
    if bytes.len() as u64 > LONGEST {
        return Err(StoreError::TooLong { path: path.into() });
    }
    String::from_utf8(bytes).map_err(|_| StoreError::NotText { path: path.into() })
}

/// Makes the directory (and its parents) with mode 0700, or judges the one that is there.
///
/// # Errors
/// [`StoreError::Write`], [`StoreError::WrongKind`], [`StoreError::OtherOwner`], [`StoreError::TooOpen`].
pub fn private_directory(path: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(StoreError::Write { path: path.into(), source }),
    }
    let metadata = fs::metadata(path).map_err(|source| StoreError::Open { path: path.into(), source })?;
    judge(path, &metadata, Kind::Directory)
}

/// Writes a new file; `false` when another one has the name already, which is left as it is.
///
/// # Errors
/// [`StoreError::Write`].
pub fn create_private(path: &Path, text: &str) -> Result<bool, StoreError> {
    let draft = Draft::write(path, text)?;
    match fs::hard_link(&draft.path, path) {
        Ok(()) => draft.sync_directory().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(StoreError::Write { path: path.into(), source }),
    }
}

/// Puts a file with this text under the name, in place of what is there.
///
/// # Errors
/// [`StoreError::Write`].
pub fn replace_private(path: &Path, text: &str) -> Result<(), StoreError> {
    let draft = Draft::write(path, text)?;
    fs::rename(&draft.path, path).map_err(|source| StoreError::Write { path: path.into(), source })?;
    draft.sync_directory()
}

/// Whether `metadata` is of a thing that is ours alone.
fn judge(path: &Path, metadata: &Metadata, kind: Kind) -> Result<(), StoreError> {
    let right_kind = match kind {
        Kind::File => metadata.is_file(),
        Kind::Directory => metadata.is_dir(),
    };
    refuse(path, kind, right_kind, metadata.uid(), geteuid().as_raw(), metadata.mode())
}

/// The decision itself: right kind, our own, nothing for group and others.
pub(super) fn refuse(
    path: &Path,
    kind: Kind,
    right_kind: bool,
    owner: u32,
    me: u32,
    mode: u32,
) -> Result<(), StoreError> {
    let path = path.to_path_buf();
    let (name, wanted) = match kind {
        Kind::File => ("file", 0o600),
        Kind::Directory => ("directory", 0o700),
    };
    if !right_kind {
        Err(StoreError::WrongKind { path, wanted: name })
    } else if owner != me {
        Err(StoreError::OtherOwner { path, owner, me })
    } else if mode & 0o077 != 0 {
        Err(StoreError::TooOpen { path, mode: mode & 0o7777, wanted })
    } else {
        Ok(())
    }
}

/// A complete, synced file under a name of its own next to its destination; the name goes when the draft does.
struct Draft {
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    fn write(target: &Path, text: &str) -> Result<Draft, StoreError> {
        let write_error = |source| StoreError::Write { path: target.into(), source };
        let mut name = target.file_name().unwrap_or_default().to_owned();
        let unique = getrandom::u64().map_err(|error| write_error(io::Error::other(error.to_string())))?;
        name.push(format!(".{unique:016x}.tmp"));
        let path = target.with_file_name(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(write_error)?;
        let draft = Draft { path, target: target.into() };
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(write_error)?;
        Ok(draft)
    }

    fn sync_directory(&self) -> Result<(), StoreError> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))
            .and_then(|directory| directory.sync_all())
            .map_err(|source| StoreError::Write { path: self.target.clone(), source })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is nothing left under this name; after anything else a draft is of no use.
        let _ = fs::remove_file(&self.path);
    }
}
