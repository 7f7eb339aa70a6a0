//! The top of a tree: runs the root actor and turns its end into the end of the process, which is supervised by
//! whatever started it and resumes from its checkpoint. It deliberately restarts nothing and handles no signal.

use std::{panic::PanicHookInfo, sync::Arc};

use actix::{Actor, Context, System};
use tokio::sync::oneshot;
use tracing::error;

use super::{
    Exit,
    child::{Child, LINGER},
};

/// The exit code of a process whose root did not stop in order.
pub const INTERNAL_ERROR: i32 = 70;

/// Runs a root actor on an actix `System` of its own, on this thread, until it stops in order; returns the code that
/// it chose by `set_exit_code`. If it ends in any other way, the *process* exits with `INTERNAL_ERROR`, right there: a
/// hung thread or blocking job does not delay it.
pub fn run<A, F>(name: &str, factory: F) -> i32
where
    A: Actor<Context = Context<A>>,
    F: FnOnce(&mut Context<A>) -> A + 'static,
{
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => give_up(name, &Exit::Failed(format!("to make the event loop: {error}"))),
    };
    let system = System::with_tokio_rt(|| runtime.clone());
    let (exit, code) = system.block_on(async {
        let (sender, end) = oneshot::channel();
        let report = move |exit| sender.send(exit).is_ok();
        let linger = |exit: &Exit| exit.is_orderly().then_some(LINGER);
        let child = Child::start_under(None, linger, Box::new(factory), report);
        let exit = end.await.expect("a child's end is reported exactly once");
        (exit, child.exit_code())
    });
    if !exit.is_orderly() {
        give_up(name, &exit);
    }
    System::current().stop();
    drop(system);
    if let Ok(runtime) = Arc::try_unwrap(runtime) {
        runtime.shutdown_background(); // a plain drop would wait for blocking jobs
    }
    code
}

fn give_up(name: &str, exit: &Exit) -> ! {
    error!(
        root = name,
        exit = exit.to_string(),
        code = INTERNAL_ERROR,
        "the root actor ended, and so does the process"
    );
    std::process::exit(INTERNAL_ERROR)
}

/// Logs each panic as one line, with its thread and place, instead of the default report: supervision tells only the
/// text of a panic. Does not change what a panic does. Install a `tracing` subscriber first.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(log_panic));
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(not text)");
    let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    error!(thread, place, text, "panic");
}
