//! The one binary, `maniple`: parse the command line, carry out the verb, end with a truthful exit code.

#![cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the verbs that use these parts are stubs")
)]

mod args;
mod keys;
mod output;
mod progress;
mod summary;
mod tasks;
mod verbs;

use std::process::ExitCode;

use args::{Checkpoint, Verb, usage::Instead};

/// Exit code of a usage or input error.
const INPUT: u8 = 2;
/// Exit code of what should not have happened.
const INTERNAL: u8 = 70;

fn main() -> ExitCode {
    let cli = match args::usage::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Instead::Answer(text)) => {
            output::print(&text);
            return ExitCode::SUCCESS;
        }
        Err(Instead::Mistake(text)) => {
            output::say(&format!("maniple: error: {text}"));
            return ExitCode::from(INPUT);
        }
    };
    if let Err(message) = output::log(cli.log.as_deref()) {
        output::say(&format!("maniple: error: {message}"));
        return ExitCode::from(INPUT);
    }
    let ended = match cli.verb {
        Verb::Run(run) => verbs::run::run(*run),
        Verb::Submit(submit) => verbs::submit::run(*submit),
        Verb::Coordinator(coordinator) => verbs::coordinator::run(coordinator),
        Verb::Worker(worker) => verbs::worker::run(worker),
        Verb::Checkpoint(Checkpoint::Info(info)) => verbs::checkpoint::info(info),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::say(&format!("maniple: error: {error:#}"));
            ExitCode::from(if error.is::<tasks::TaskError>() { INPUT } else { INTERNAL })
        }
    }
}
