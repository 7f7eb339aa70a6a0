//! What a checkpoint needs of an object store: objects that are written once, and small ones that are replaced only by
//! who knows what they are now. It does not know what is in them.
//!
//! Assumed of a store: what was written is seen by the next reader, and of two conditional writes on one version one
//! fails.

use std::io;

use bytes::Bytes;

/// Which one of the contents that an object has had: an ETag, or whatever the store tells them apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// Why an object was not replaced.
#[derive(Debug)]
pub enum PutError {
    /// It is not what it was thought to be.
    Changed,
    /// The store failed; the object may have been replaced all the same.
    Failed(io::Error),
}

/// A failure of a store, as opposed to one of what is in it: one line for the user.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

impl StoreError {
    /// As the error of a disk.
    pub fn into_io(self) -> io::Error {
        io::Error::other(self)
    }

    /// Whether an error of a disk is one.
    #[must_use]
    pub fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<StoreError>)
    }
}

/// See the module. It blocks.
pub trait Store: Send + Sync {
    /// An object and its version.
    fn get(&self, name: &str) -> io::Result<Option<(Bytes, Version)>>;

    /// `len` bytes of an object.
    fn get_range(&self, name: &str, at: u64, len: usize) -> io::Result<Bytes>;

    /// Writes an object under a name that nobody else uses. When it returns, the object is durable and as long as this.
    fn upload(&self, name: &str, bytes: Bytes) -> io::Result<()>;

    /// Writes an object durably if it is still this version; `None`: if there is none.
    fn put(&self, name: &str, bytes: Bytes, known: Option<&Version>) -> Result<Version, PutError>;

    /// Removes an object, if it is there.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The last parts of the names of the objects in a folder.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
}

/// [`Store::put`] of bytes that were never written there before, which finds out what became of a write that is in
/// doubt: an answer that is lost makes a try look failed, and the next one too late.
pub fn commit(
    store: &dyn Store,
    name: &str,
    bytes: &Bytes,
    known: Option<&Version>,
) -> Result<Version, PutError> {
    let failed = match store.put(name, bytes.clone(), known) {
        Ok(version) => return Ok(version),
        Err(failed) => failed,
    };
    match (store.get(name), failed) {
        (Ok(Some((found, version))), _) if found == bytes => Ok(version),
        (_, failed) => Err(failed),
    }
}
