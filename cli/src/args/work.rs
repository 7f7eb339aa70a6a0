//! From options to the job that coordinator and worker speak of. Pure: the working directory is an argument.

use std::path::Path;

use shared::{
    job::{CheckpointSpec, CommandSpec, Compression, Existing, FunctionSpec, Limits, Work},
    location::{BadUrl, Location},
    shape::ValueShape,
};

use super::{Job, values::Compress};

impl Job {
    /// Whether tasks are executed as commands rather than called as functions.
    pub fn is_command(&self) -> bool {
        !self.command.is_empty()
    }

    /// The function or command. `fields` are the names that the task file gives to a task's fields.
    pub fn work(&self, fields: &[String], cwd: &str) -> Work {
        match &self.function {
            Some(name) => Work::Function(FunctionSpec {
                module: name.module.clone(),
                function: name.function.clone(),
                path: vec![cwd.to_owned()],
                python: self.python.clone(),
                preload: self.preload.clone(),
                ..FunctionSpec::default()
            }),
            None => Work::Command(CommandSpec {
                argv: self.command.clone(),
                fields: fields.to_vec(),
                cwd: cwd.to_owned(),
                ..CommandSpec::default()
            }),
        }
    }

    /// What each task may take.
    pub fn limits(&self) -> Limits {
        Limits {
            death_retries: self.retries,
            error_retries: self.retry_errors,
            timeout: self.timeout,
            memory: self.memory,
            tasks_per_process: self.tasks_per_process,
            recycle_memory: self.recycle_memory,
        }
    }

    /// Where the outcomes are kept. `fields` are the names that the task file gives to a task's fields.
    pub fn checkpoint_spec(&self, fields: &[String], cwd: &Path) -> Result<Option<CheckpointSpec>, BadUrl> {
        let existing = match (self.fresh, self.any_work) {
            (true, _) => Existing::SetAside,
            (false, true) => Existing::ResumeAnyWork,
            (false, false) => Existing::Resume,
        };
        let Some(checkpoint) = &self.checkpoint else { return Ok(None) };
        Ok(Some(CheckpointSpec {
            path: Location::parse(checkpoint, cwd)?,
            existing,
            flush: self.flush,
            columns: self.columns.as_ref().map(|columns| columns.0.clone()).unwrap_or_default(),
            key_columns: if are_distinct(fields) { fields.to_vec() } else { Vec::new() },
            compress: match self.compress {
                Compress::None => Compression::None,
                Compress::Zstd => Compression::Zstd,
            },
            shape: if self.any_shape || self.is_command() { ValueShape::Any } else { ValueShape::Open },
        }))
    }
}

/// Whether these name something each; columns of a .csv file that have no name are alike.
fn are_distinct(names: &[String]) -> bool {
    let mut others = names.iter().enumerate();
    others.all(|(at, name)| !names[..at].contains(name))
}
