//! The one binary, `maniple`: parse the command line, carry out the verb, end with a truthful exit code.

mod args;
mod client;
mod engine;
mod export;
mod fault;
mod follower;
mod job;
mod keys;
mod line;
mod output;
mod progress;
mod rust_pyfunc;
mod sent;
mod show;
mod signals;
mod stop;
mod summary;
mod talk;
mod tasks;
mod verbs;

use std::process::ExitCode;

use args::{Verb, usage::Instead};

fn main() -> ExitCode {
    let cli = match args::usage::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Instead::Answer(text)) => {
            return output::print(&text).map_or(ExitCode::from(fault::STORAGE), |()| ExitCode::SUCCESS);
        }
        Err(Instead::Mistake(text)) => {
            output::say(&format!("maniple: error: {text}"));
            return ExitCode::from(fault::USAGE);
        }
    };
    if let Err(message) = output::log(cli.log.as_deref(), default_level(&cli.verb)) {
        output::say(&format!("maniple: error: {message}"));
        return ExitCode::from(fault::USAGE);
    }
    shared::supervision::install_panic_hook();
    worker::process::give_freed_memory_back();
    if let Err(error) = worker::process::outlive_file_size_limit() {
        output::say(&format!("maniple: warning: a file size limit would end this process: {error}"));
    }
    let ended = match cli.verb {
        Verb::Run(run) => verbs::run::run(&run),
        Verb::Submit(submit) => verbs::submit::run(&submit),
        Verb::Coordinator(coordinator) => verbs::coordinator::run(coordinator),
        Verb::Worker(worker) => verbs::worker::run(&worker),
        Verb::Engine(engine) => verbs::engine::run(&engine),
        Verb::Checkpoint(tool) => verbs::checkpoint::run(&tool),
        Verb::Jobs(jobs) => verbs::jobs::run(&jobs),
        Verb::Attach(attach) => verbs::attach::run(&attach),
        Verb::Cancel(cancel) => verbs::cancel::run(&cancel),
        Verb::Cleanup(cleanup) => verbs::cleanup::run(&cleanup),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            output::say(&format!("maniple: error: {fault}"));
            ExitCode::from(fault.code)
        }
    }
}

/// Services tell what they do; a command that somebody waits for tells what is wrong.
fn default_level(verb: &Verb) -> &'static str {
    match verb {
        Verb::Coordinator(_) | Verb::Worker(_) => "info",
        Verb::Run(_) | Verb::Submit(_) | Verb::Engine(_) | Verb::Checkpoint(_) => "warn",
        Verb::Jobs(_) | Verb::Attach(_) | Verb::Cancel(_) | Verb::Cleanup(_) => "warn",
    }
}
