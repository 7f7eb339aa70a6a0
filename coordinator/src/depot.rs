//! The depot: the bytes of the objects that a coordinator hands on, each in a file of its own; carried out in turn by a
//! thread that may wait for the disk.
//!
//! With a state directory they are below its `objects/`, named by their id, and survive this process; one that is not
//! whole ends in `.part` and does not. Without one a file has no name, so nothing is left of it. Pieces are written in
//! order, so that the checksum is known at the end without another look.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use shared::{
    id::{ObjectId, WorkerId},
    object::ObjectSpec,
    wire::client::{StopCause, Stopped},
};

/// What the depot is told to do.
#[derive(Debug)]
pub enum Order {
    /// Put a piece behind what is there; at 0 an object begins.
    Write(ObjectId, u64, Bytes),
    /// All is written: it has to have this checksum.
    Seal(ObjectId, Option<u32>),
    /// A piece is wanted by a worker.
    Read(WorkerId, ObjectId, u64, u32),
    /// It is not needed any more.
    Drop(ObjectId),
}

/// What it answers.
#[derive(Debug)]
pub enum Answer {
    /// All up to here is written.
    Written(ObjectId, u64),
    /// An object is whole.
    Sealed(ObjectId),
    /// Here is what a worker wants.
    Read(WorkerId, ObjectId, u64, Bytes),
    /// An object cannot be kept, or not be read.
    Failed(ObjectId, Stopped),
}

struct Kept {
    file: File,
    hasher: crc32fast::Hasher,
}

/// See the module.
pub struct Depot {
    dir: Option<PathBuf>,
    files: HashMap<ObjectId, Kept>,
}

/// Where the objects are below a state directory.
#[must_use]
pub fn below(state: &Path) -> PathBuf {
    state.join("objects")
}

/// Which of these objects an earlier life has left whole.
#[must_use]
pub fn kept(state: Option<&Path>, objects: &[ObjectSpec]) -> BTreeSet<ObjectId> {
    let Some(dir) = state.map(below) else { return BTreeSet::new() };
    let is_whole = |spec: &&ObjectSpec| {
        fs::metadata(dir.join(spec.id.to_string())).is_ok_and(|found| found.len() == spec.size)
    };
    objects.iter().filter(is_whole).map(|spec| spec.id).collect()
}

impl Depot {
    /// A depot that has of an earlier life's objects these alone.
    #[must_use]
    pub fn new(state: Option<&Path>, wanted: &BTreeSet<ObjectId>) -> Depot {
        let dir = state.map(below);
        let entries = dir.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
        let names: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
        for entry in entries.filter(|entry| !names.contains(&*entry.file_name().to_string_lossy())) {
            if let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "failed to remove an object that nobody needs");
            }
        }
        Depot { dir, files: HashMap::new() }
    }

    /// Carries out an order.
    pub fn carry_out(&mut self, order: Order) -> Option<Answer> {
        let (object, done) = match order {
            Order::Write(object, at, piece) => {
                let done = self.write(object, at, &piece);
                if done.is_err() {
                    // Its job's end may need the room.
                    self.drop(object);
                }
                (object, done)
            }
            Order::Seal(object, crc) => match self.seal(object, crc) {
                Ok(true) => (object, Ok(Answer::Sealed(object))),
                Ok(false) => return Some(Answer::Failed(object, damaged())),
                Err(error) => (object, Err(error)),
            },
            Order::Read(worker, object, at, len) => match self.read(object, at, len) {
                Ok(piece) => (object, Ok(Answer::Read(worker, object, at, piece))),
                Err(error) => return Some(Answer::Failed(object, self.failed("read", &error))),
            },
            Order::Drop(object) => {
                self.drop(object);
                return None;
            }
        };
        Some(done.unwrap_or_else(|error| Answer::Failed(object, self.failed("keep", &error))))
    }

    fn write(&mut self, object: ObjectId, at: u64, piece: &[u8]) -> io::Result<Answer> {
        if at == 0 {
            let kept = Kept { file: self.create(object)?, hasher: crc32fast::Hasher::new() };
            self.files.insert(object, kept);
        }
        let kept = self.files.get_mut(&object).ok_or(io::ErrorKind::NotFound)?;
        kept.file.write_all_at(piece, at)?;
        kept.hasher.update(piece);
        Ok(Answer::Written(object, at + piece.len() as u64))
    }

    fn create(&self, object: ObjectId) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600);
        if let Some(dir) = &self.dir {
            fs::create_dir_all(dir)?;
            return options.truncate(true).open(part(dir, object));
        }
        let random = getrandom::u64().map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("maniple-object-{random:016x}"));
        let file = options.create_new(true).open(&path)?;
        fs::remove_file(path)?;
        Ok(file)
    }

    /// Whether it is what it should be; then a later life finds it.
    fn seal(&mut self, object: ObjectId, crc: Option<u32>) -> io::Result<bool> {
        let kept = self.files.get(&object).ok_or(io::ErrorKind::NotFound)?;
        if crc.is_some_and(|crc| crc != kept.hasher.clone().finalize()) {
            return Ok(false);
        }
        if let Some(dir) = &self.dir {
            kept.file.sync_all()?;
            fs::rename(part(dir, object), dir.join(object.to_string()))?;
            File::open(dir)?.sync_all()?;
        }
        Ok(true)
    }

    fn read(&mut self, object: ObjectId, at: u64, len: u32) -> io::Result<Bytes> {
        if !self.files.contains_key(&object) {
            let dir = self.dir.as_ref().ok_or(io::ErrorKind::NotFound)?;
            let file = File::open(dir.join(object.to_string()))?;
            self.files.insert(object, Kept { file, hasher: crc32fast::Hasher::new() });
        }
        let mut piece = vec![0; len as usize];
        self.files[&object].file.read_exact_at(&mut piece, at)?;
        Ok(piece.into())
    }

    fn drop(&mut self, object: ObjectId) {
        self.files.remove(&object);
        if let Some(dir) = &self.dir {
            for path in [part(dir, object), dir.join(object.to_string())] {
                // One of the two is there, or none.
                let _ = fs::remove_file(path);
            }
        }
    }

    fn failed(&self, what: &str, error: &io::Error) -> Stopped {
        let (place, choice) = match &self.dir {
            Some(dir) => (dir.clone(), "--state-dir"),
            None => (std::env::temp_dir(), "the environment variable TMPDIR"),
        };
        let message = format!(
            "the coordinator failed to {what} in {} what the tasks share: {error}; make room there, or have it use \
             another folder by {choice}",
            place.display()
        );
        Stopped { why: StopCause::Storage, message }
    }
}

fn part(dir: &Path, object: ObjectId) -> PathBuf {
    dir.join(format!("{object}.part"))
}

fn damaged() -> Stopped {
    let message =
        "what the tasks share arrived damaged at the coordinator: its checksum is another one; run it again"
            .to_owned();
    Stopped { why: StopCause::Internal, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: ObjectId = ObjectId(0xab);

    fn written(depot: &mut Depot) -> Option<Answer> {
        depot.carry_out(Order::Write(OBJECT, 0, Bytes::from_static(b"hello ")));
        let answer = depot.carry_out(Order::Write(OBJECT, 6, Bytes::from_static(b"world")));
        assert!(matches!(answer, Some(Answer::Written(OBJECT, 11))), "{answer:?}");
        depot.carry_out(Order::Seal(OBJECT, Some(crc32fast::hash(b"hello world"))))
    }

    fn read(depot: &mut Depot) -> Option<Answer> {
        depot.carry_out(Order::Read(WorkerId(1), OBJECT, 4, 3))
    }

    fn spec(size: u64) -> [ObjectSpec; 1] {
        let purpose = shared::object::Purpose::Shared;
        [ObjectSpec { id: OBJECT, size, purpose, place: None, crc: None }]
    }

    #[test]
    fn an_object_survives_in_a_state_directory_and_goes_when_nobody_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = Some(dir.path());
        assert!(matches!(written(&mut Depot::new(state, &BTreeSet::new())), Some(Answer::Sealed(OBJECT))));
        assert_eq!(kept(state, &spec(11)), [OBJECT].into());
        assert_eq!(kept(state, &spec(12)), BTreeSet::new());
        let mut depot = Depot::new(state, &[OBJECT].into());
        assert!(matches!(read(&mut depot), Some(Answer::Read(_, _, 4, piece)) if piece == "o w"));
        depot.carry_out(Order::Write(ObjectId(3), 0, Bytes::from_static(b"x")));
        depot.carry_out(Order::Drop(OBJECT));
        assert_eq!(fs::read_dir(below(dir.path())).unwrap().count(), 1);
        drop(Depot::new(state, &BTreeSet::new()));
        assert_eq!(fs::read_dir(below(dir.path())).unwrap().count(), 0);
    }

    #[test]
    fn without_a_state_directory_it_has_no_name() {
        let mut depot = Depot::new(None, &BTreeSet::new());
        assert!(matches!(written(&mut depot), Some(Answer::Sealed(OBJECT))));
        assert!(matches!(read(&mut depot), Some(Answer::Read(_, _, 4, piece)) if piece == "o w"));
        assert_eq!(kept(None, &spec(11)), BTreeSet::new());
        depot.carry_out(Order::Drop(OBJECT));
        let told = read(&mut depot);
        assert!(
            matches!(&told, Some(Answer::Failed(OBJECT, why)) if why.why == StopCause::Storage),
            "{told:?}"
        );
    }

    #[test]
    fn reproduces_a_full_disk_on_which_the_end_of_the_job_found_no_room_either() {
        let dir = tempfile::tempdir().unwrap();
        let objects = below(dir.path());
        fs::create_dir(&objects).unwrap();
        let mut depot = Depot::new(Some(dir.path()), &BTreeSet::new());
        std::os::unix::fs::symlink("/dev/full", part(&objects, OBJECT)).unwrap();
        let told = depot.carry_out(Order::Write(OBJECT, 0, Bytes::from_static(b"hello")));
        assert!(
            matches!(&told, Some(Answer::Failed(_, why)) if why.message.contains("No space left")),
            "{told:?}"
        );
        assert_eq!(fs::read_dir(objects).unwrap().count(), 0);
    }

    #[test]
    fn what_arrives_damaged_is_refused() {
        let mut depot = Depot::new(None, &BTreeSet::new());
        depot.carry_out(Order::Write(OBJECT, 0, Bytes::from_static(b"hellO")));
        let told = depot.carry_out(Order::Seal(OBJECT, Some(crc32fast::hash(b"hello"))));
        assert!(
            matches!(&told, Some(Answer::Failed(OBJECT, why)) if why.message.contains("damaged")),
            "{told:?}"
        );
    }
}
