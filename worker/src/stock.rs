//! The stock: objects that came from the coordinator, each in a memory file that children map by way of `/proc`. The
//! files have no names, so nothing is left of them when the node ends, however it ends.
//!
//! It decides nothing. What is not expected any more is not kept; pieces come in order, and each once.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::{fd::AsRawFd, unix::fs::FileExt},
    sync::Arc,
};

use nix::sys::memfd::{MFdFlags, memfd_create};
use shared::{id::ObjectId, job::JobSpec, object::ObjectSpec};

/// See the module.
#[derive(Default)]
pub struct Stock(BTreeMap<ObjectId, Item>);

struct Item {
    size: u64,
    crc: Option<u32>,
    /// Made with the first piece.
    file: Option<File>,
    have: u64,
    hasher: crc32fast::Hasher,
}

impl Stock {
    /// Pieces of these will come, but for those that this machine has in a place of their own.
    pub fn expect(&mut self, objects: &[ObjectSpec]) {
        for spec in objects.iter().filter(|spec| spec.is_remote()) {
            let hasher = crc32fast::Hasher::new();
            let fresh = || Item { size: spec.size, crc: spec.crc, file: None, have: 0, hasher };
            self.0.entry(spec.id).or_insert_with(fresh);
        }
    }

    /// Keeps a piece, and says how much there is now; `None`: nobody expects it.
    ///
    /// # Errors
    /// It cannot be kept, or what has come is not what was sent: one line.
    pub fn add(&mut self, object: ObjectId, at: u64, piece: &[u8]) -> Result<Option<u64>, String> {
        let Some(item) = self.0.get_mut(&object) else { return Ok(None) };
        if at != item.have || piece.len() as u64 > item.size - at {
            return Ok(None);
        }
        let failed = |error: io::Error| {
            let (size, host) = (item.size / 1_000_000, shared::endpoint::host_name());
            format!("no memory on {host} for {size} MB that the tasks share: {error}")
        };
        let kept = match &item.file {
            Some(file) => file.write_all_at(piece, at),
            None => memory_file().and_then(|file| item.file.insert(file).write_all_at(piece, at)),
        };
        kept.map_err(failed)?;
        item.have += piece.len() as u64;
        item.hasher.update(piece);
        if item.have == item.size && item.crc.is_some_and(|crc| crc != item.hasher.clone().finalize()) {
            let host = shared::endpoint::host_name();
            return Err(format!(
                "what the tasks share arrived damaged on {host}: its checksum is another one"
            ));
        }
        Ok(Some(item.have))
    }

    /// Nobody needs it any more. Processes that have mapped it keep the memory until they end.
    pub fn drop(&mut self, object: ObjectId) {
        self.0.remove(&object);
    }

    /// A job with the places of its objects on this machine.
    #[must_use]
    pub fn placed(&self, spec: &Arc<JobSpec>) -> Arc<JobSpec> {
        if !spec.objects.iter().any(ObjectSpec::is_remote) {
            return Arc::clone(spec);
        }
        let mut spec = JobSpec::clone(spec);
        for object in spec.objects.iter_mut().filter(|object| object.is_remote()) {
            let file = self.0.get(&object.id).and_then(|item| item.file.as_ref());
            object.place = file.map(|file| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
        }
        Arc::new(spec)
    }
}

fn memory_file() -> io::Result<File> {
    Ok(memfd_create("maniple-object", MFdFlags::MFD_CLOEXEC)?.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use shared::{
        id::JobId,
        job::{CommandSpec, Work},
        object::Purpose,
    };

    use super::*;

    const OBJECT: ObjectId = ObjectId(7);

    fn expecting(crc: u32) -> (Stock, Arc<JobSpec>) {
        let object =
            ObjectSpec { id: OBJECT, size: 11, purpose: Purpose::Shared, place: None, crc: Some(crc) };
        let work = Work::Command(CommandSpec::default());
        let spec = JobSpec { objects: vec![object], ..JobSpec::new(JobId(1), work) };
        let mut stock = Stock::default();
        stock.expect(&spec.objects);
        (stock, Arc::new(spec))
    }

    #[test]
    fn an_object_comes_in_pieces_and_has_a_place_until_it_is_dropped() {
        let (mut stock, spec) = expecting(crc32fast::hash(b"hello world"));
        assert_eq!(stock.add(OBJECT, 0, b"hello "), Ok(Some(6)));
        assert_eq!(stock.add(OBJECT, 0, b"hello "), Ok(None), "each piece once");
        assert_eq!(stock.add(OBJECT, 6, b"world, and more"), Ok(None), "no more than was promised");
        stock.expect(&spec.objects);
        assert_eq!(stock.add(OBJECT, 6, b"world"), Ok(Some(11)));
        let place = stock.placed(&spec).objects[0].place.clone().expect("it is here");
        let mut text = String::new();
        File::open(&place).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello world");
        stock.drop(OBJECT);
        assert_eq!(stock.add(OBJECT, 11, b""), Ok(None));
        assert_eq!(stock.placed(&spec).objects[0].place, None);
    }

    #[test]
    fn what_arrives_damaged_is_refused() {
        let (mut stock, _) = expecting(crc32fast::hash(b"hello world"));
        assert_eq!(stock.add(OBJECT, 0, b"hello "), Ok(Some(6)));
        let told = stock.add(OBJECT, 6, b"worlt").expect_err("another checksum");
        assert!(told.contains("arrived damaged"), "{told}");
    }
}
