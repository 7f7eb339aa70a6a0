//! The corpora of the fuzzers, and what they have found before, held to the same properties without a fuzzer.

use std::{
    fs,
    path::{Path, PathBuf},
};

use maniple_tests::fuzzing::{self, TARGETS};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn what_was_fuzzed_holds() {
    for (name, target) in TARGETS {
        let corpus = files(&fuzzing::folder().join("corpus").join(name));
        assert!(!corpus.is_empty(), "{name} has a corpus");
        for file in corpus.into_iter().chain(files(&fuzzing::folder().join("findings").join(name))) {
            let bytes = fs::read(&file).expect("a file");
            let held = std::panic::catch_unwind(|| target(&bytes));
            assert!(held.is_ok(), "{}", file.display());
        }
    }
}

#[test]
fn a_seal_leaves_what_is_sound_as_it_is() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/checkpoint");
    let sound =
        ["v1/mixed", "v1/numbers", "v1.1/rows", "v1.1/rows-zstd", "v1.1/closed-twice", "v1.1/journal"];
    for name in sound {
        let bytes = fs::read(golden.join(format!("{name}.checkpoint"))).expect("a file");
        assert!(fuzzing::seal(&bytes) == bytes, "{name}");
        let mut flipped = bytes.clone();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        assert!(fuzzing::seal(&flipped) != flipped, "{name}: a checksum is made right");
    }
}
