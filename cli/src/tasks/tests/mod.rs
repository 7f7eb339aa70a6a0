//! Task files as tables: what is in the file -> the keys, as JSON text; and what each malformed one is told.

mod errors;
mod files;
mod json;
mod speed;
mod tables;

use std::{fs, path::PathBuf};

use shared::msgpack;
use tempfile::TempDir;

use super::{Chunk, TaskError, TaskReader, TaskSource, open};
use crate::keys;

/// A folder with one task file in it.
pub struct Fixture {
    folder: TempDir,
    path: PathBuf,
}

impl Fixture {
    pub fn new(name: &str, content: impl AsRef<[u8]>) -> Fixture {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(name);
        fs::write(&path, content).expect("a file in it");
        Fixture { folder, path }
    }

    pub fn open(&self, text: &[&str]) -> Result<TaskReader, TaskError> {
        let text: Vec<String> = text.iter().map(|&column| column.to_owned()).collect();
        open(&TaskSource { file: &self.path, for_command: false, text: &text })
    }

    pub fn keys(&self, text: &[&str]) -> Result<Vec<String>, TaskError> {
        let chunks = chunks(&mut self.open(text)?)?;
        Ok(chunks.iter().flat_map(|chunk| texts(&chunk.keys)).collect())
    }

    /// What the user is told, without the folder's name.
    pub fn error(&self, text: &[&str]) -> String {
        let error = self.keys(text).expect_err("this file is malformed");
        error.to_string().replace(&format!("{}/", self.folder.path().display()), "")
    }
}

pub fn chunks(reader: &mut TaskReader) -> Result<Vec<Chunk>, TaskError> {
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        assert_eq!(
            msgpack::values(&chunk.keys).count(),
            chunk.count as usize,
            "a chunk's count is that of its keys"
        );
        chunks.push(chunk);
    }
    Ok(chunks)
}

pub fn texts(keys: &[u8]) -> Vec<String> {
    msgpack::values(keys).map(|key| keys::text(key.expect("well formed"))).collect()
}
