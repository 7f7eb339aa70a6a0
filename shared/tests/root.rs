//! How the end of a root actor becomes the end of its process: each scene runs in a process of its own, which is this
//! test binary again. `injected` needs the feature `inject`.

use std::{
    process::{Command, Output},
    time::Duration,
};

use actix::{Actor, ActorContext as _, AsyncContext as _, Context, Running};
use shared::supervision::{self, Exit, Family, INTERNAL_ERROR, Parent, Policy, Restart, Strategy};

const SCENE: &str = "MANIPLE_TEST_SCENE";

/// Runs a scene; its exit code and what it wrote to stderr.
fn play(scene: &str) -> (Option<i32>, String) {
    let this = std::env::current_exe().expect("a test binary knows its path");
    let Output { status, stderr, .. } = Command::new(this)
        .args(["--exact", "a_scene", "--ignored", "--nocapture"])
        .env(SCENE, scene)
        .env("MANIPLE_INJECT", "panic:root@1")
        .output()
        .expect("the test binary can be run again");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

/// A root that does what its scene says as soon as it has started.
struct Root {
    scene: String,
    family: Family<Slot>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Slot {
    Child,
}

struct Doomed;

impl Actor for Doomed {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        panic!("the child's panic");
    }
}

impl Root {
    fn new(scene: String) -> Root {
        let policy = Policy::new(Strategy::OneForOne).limit(0, Duration::from_secs(1));
        let mut family = Family::new("root", policy);
        if scene == "escalate" {
            family = family.child(Slot::Child, Restart::Permanent);
        }
        Root { scene, family }
    }
}

impl Actor for Root {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.start_children(ctx);
        match self.scene.as_str() {
            "stop" => {
                supervision::set_exit_code(3);
                ctx.stop();
            }
            "stop with a hung job" => {
                hang(None);
                supervision::set_exit_code(3);
                ctx.stop();
            }
            "fail with a hung job" => {
                hang(Some(supervision::token()));
                ctx.run_later(Duration::ZERO, |_, ctx| supervision::fail(ctx, "on purpose"));
            }
            "panic" => panic!("the root's\npanic"),
            "injected" => shared::inject::point("root"),
            "escalate" => {}
            other => unreachable!("scene {other}"),
        }
    }

    fn stopping(&mut self, ctx: &mut Context<Self>) -> Running {
        self.stop_children(ctx)
    }
}

impl Parent for Root {
    type Slot = Slot;

    fn family(&mut self) -> &mut Family<Slot> {
        &mut self.family
    }

    fn start_child(&mut self, slot: Slot, _: &mut Context<Self>) {
        self.family.spawn(slot, |_| Doomed);
    }

    fn child_ended(&mut self, _: Slot, exit: &Exit, _: &mut Context<Self>) {
        eprintln!("heard: {exit}");
    }
}

/// A job that blocks for long, and then says by an exit code of its own that it delayed the process's end.
fn hang(token: Option<supervision::Token>) {
    tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_secs(30));
        drop(token);
        std::process::exit(99);
    });
}

#[test]
#[ignore = "a scene: run by the other tests, in a process of its own"]
fn a_scene() {
    let scene = std::env::var(SCENE).expect("this is run by `play`");
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    supervision::install_panic_hook();
    std::process::exit(supervision::run("root", |_| Root::new(scene)));
}

#[test]
fn a_root_that_stops_gives_its_code() {
    assert_eq!(play("stop").0, Some(3));
}

#[test]
fn a_hung_job_does_not_delay_a_stop() {
    assert_eq!(play("stop with a hung job").0, Some(3));
}

#[test]
fn a_hung_job_does_not_delay_a_failure() {
    let (code, stderr) = play("fail with a hung job");
    assert_eq!(code, Some(INTERNAL_ERROR), "{stderr}");
    assert!(stderr.contains("failed: on purpose"), "{stderr}");
}

#[test]
fn a_panic_of_the_root_ends_the_process_and_tells_where_on_one_line() {
    let (code, stderr) = play("panic");
    assert_eq!(code, Some(INTERNAL_ERROR), "{stderr}");
    let lines: Vec<_> = stderr.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(lines.len(), 2, "one of the panic, one of the root's end: {stderr}");
    assert!(lines[0].contains("root.rs:") && lines[0].contains("a_scene"), "{stderr}");
    assert!(lines.iter().all(|line| line.contains("the root's\\npanic")), "{stderr}");
    assert_eq!(stderr.lines().count(), 2, "no backtrace: {stderr}");
}

#[test]
fn an_escalation_at_the_root_ends_the_process() {
    let (code, stderr) = play("escalate");
    assert_eq!(code, Some(INTERNAL_ERROR), "{stderr}");
    assert_eq!(stderr.matches("heard: panicked: the child's panic").count(), 1, "{stderr}");
    assert!(stderr.contains("no more than 0 restarts"), "{stderr}");
}

#[test]
#[cfg(feature = "inject")]
fn an_injected_fault_panics() {
    let (code, stderr) = play("injected");
    assert_eq!(code, Some(INTERNAL_ERROR), "{stderr}");
    assert!(stderr.contains("injected at root"), "{stderr}");
}
