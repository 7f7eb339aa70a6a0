//! What a checkpoint is made with stays in it: names of columns, how it is stored; whoever asks for others is told.

use std::path::{Path, PathBuf};

use shared::{
    checkpoint::{Depth, Kind, Layout, inspect},
    job::Existing,
    wire::client::StopCause,
};

use super::{crash_tests::PATH, *};
use crate::disk::memory::MemoryDisk;

fn names(names: &str) -> Vec<String> {
    names.split_whitespace().map(str::to_owned).collect()
}

fn terms(columns: &str, existing: Existing) -> Terms {
    let (columns, key_columns) = (names(columns), names("date code"));
    Terms { columns, key_columns, compress: Compress::Zstd, ..Terms::new("w".to_owned(), existing) }
}

fn open(disk: &MemoryDisk, terms: &Terms) -> Result<CheckpointFile, CheckpointError> {
    CheckpointFile::open_on(Box::new(disk.clone()), Path::new(PATH), terms, &mut |_, _, _| {})
        .map(|(file, _)| file)
}

fn content(disk: &MemoryDisk) -> Vec<u8> {
    disk.content(Path::new(PATH)).expect("a file")
}

#[test]
fn names_and_compression_are_those_that_were_asked_for() {
    let disk = MemoryDisk::default();
    let mut file = open(&disk, &terms("open close", Existing::Resume)).expect("new");
    file.push_values(&[1], &[0x92, 1, 2], 1, &[]).expect("whole");
    file.close().expect("a disk");
    let mut stored = Vec::new();
    inspect(&content(&disk)[..], Depth::All, &mut |seen| {
        if let Kind::Values { keys, values, .. } = &seen.head.kind {
            stored.extend([keys, values].map(|Layout { compress, .. }| *compress));
        }
    })
    .expect("memory");
    assert_eq!(stored, [Compress::Zstd; 2]);
    for columns in ["", "open close"] {
        let file = open(&disk, &terms(columns, Existing::Resume)).expect("the same columns");
        assert_eq!(file.columns(), names("open close"));
        assert_eq!(file.header.key_columns, names("date code"));
    }
}

#[test]
fn other_columns_are_refused_by_their_names() {
    for (found, wanted, difference) in [
        ("open close", "close open", "has its columns in another order: open,close:"),
        ("open close", "open close vwap low", "has no `vwap`, `low`:"),
        ("open close", "open", "has `close`, which --columns does not name:"),
        ("open close", "open vwap", "has no `vwap`, and has `close`, which --columns does not name:"),
        ("", "open close", "has no columns:"),
    ] {
        let disk = MemoryDisk::default();
        open(&disk, &terms(found, Existing::Resume)).expect("new").close().expect("a disk");
        let before = content(&disk);
        for existing in [Existing::Resume, Existing::ResumeAnyWork] {
            let error = open(&disk, &terms(wanted, existing)).err().expect("other columns");
            assert!(error.to_string().contains(difference), "{difference}\n{error}");
            assert_eq!(error.stop_cause(), StopCause::Input);
        }
        assert_eq!(content(&disk), before, "it was left as it is");
    }
}

#[test]
fn a_fresh_start_with_other_columns_folds_the_old_journal() {
    let disk = MemoryDisk::default();
    let mut file = open(&disk, &terms("open close", Existing::Resume)).expect("new");
    file.push_values(&[1], &[0x92, 1, 2], 1, &[]).expect("whole");
    file.flush().expect("a disk");
    assert_eq!(disk.names().len(), 2, "a checkpoint and its journal");
    drop(file);
    let file = open(&disk, &terms("vwap", Existing::SetAside)).expect("new");
    assert_eq!(file.columns(), names("vwap"));
    assert_eq!(disk.names(), [PATH, &format!("{PATH}.20240229-235958.old")].map(PathBuf::from));
}
