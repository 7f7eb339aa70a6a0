//! From options to the job that coordinator and worker speak of. Pure: the working directory is an argument.

use std::path::Path;

use shared::job::{CheckpointSpec, CommandSpec, Existing, FunctionSpec, Limits, Work};

use super::Job;

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
            }),
            None => Work::Command(CommandSpec {
                argv: self.command.clone(),
                fields: fields.to_vec(),
                cwd: cwd.to_owned(),
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
        }
    }

    /// Where the outcomes are kept.
    pub fn checkpoint_spec(&self, cwd: &Path) -> Option<CheckpointSpec> {
        let existing = match (self.fresh, self.any_work) {
            (true, _) => Existing::SetAside,
            (false, true) => Existing::ResumeAnyWork,
            (false, false) => Existing::Resume,
        };
        let path = cwd.join(self.checkpoint.as_ref()?);
        Some(CheckpointSpec { path, existing, flush: self.flush })
    }
}
