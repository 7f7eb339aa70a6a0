//! Every mistake is one clear line with its culprit and the next step, the right exit code, and nothing lost.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
};

use maniple_tests::{Ended, Program, Scratch, disk::FailingDisk, outcomes, program::PATIENCE, wait::until};

use crate::cluster::Cluster;

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("f.py", "def f(n):\n    return n\nvalue = 3\n");
    scratch.write("broken.py", "def f(n:\n");
    scratch.write("raises.py", "raise RuntimeError('no data here')\n");
    scratch.numbers("tasks.jsonl", 0..10);
    scratch
}

#[test]
fn what_is_missing_is_named() {
    let scratch = scratch();
    for (args, texts) in [
        ("run nosuch:f --tasks tasks.jsonl", &["nosuch"][..]),
        ("run f:nosuch --tasks tasks.jsonl", &["nosuch", "f"]),
        ("run f:value --tasks tasks.jsonl", &["value"]),
        ("run broken:f --tasks tasks.jsonl", &["broken", "SyntaxError"]),
        ("run raises:f --tasks tasks.jsonl", &["raises", "no data here"]),
        ("run f:f --tasks nosuch.jsonl", &["nosuch.jsonl"]),
        ("run f:f --tasks f.py", &["f.py", ".jsonl"]),
        ("run f:f --tasks tasks.jsonl --python /no/such/python", &["/no/such/python"]),
        ("run f:f --tasks tasks.jsonl --checkpoint no/such/folder/c.checkpoint", &["no/such/folder"]),
        ("run f.f --tasks tasks.jsonl", &["f:f"]),
        ("run f:f", &["--tasks"]),
        ("submit --access-file nosuch f:f --tasks tasks.jsonl", &["nosuch"]),
        ("worker --access-file nosuch", &["nosuch"]),
        ("checkpoint info nosuch", &["nosuch"]),
    ] {
        let ended = scratch.run(args);
        assert_eq!(ended.code(), 2, "{args}:\n{}", ended.stderr);
        ended.expect_error(texts);
    }
}

#[test]
fn a_malformed_line_is_named_by_its_number_and_nothing_is_lost() {
    let scratch = scratch();
    let good: String = (0..9_000).map(|n| format!("[{n}]\n")).collect();
    scratch.write("bad.jsonl", format!("{good}[9000\n[9001]\n"));
    scratch
        .run("run -j 1 f:f --tasks bad.jsonl --checkpoint c.checkpoint")
        .expect_code(2)
        .expect_error(&["bad.jsonl", "9001"]);
    let kept = outcomes(&scratch.file("c.checkpoint")).len();
    scratch.write("bad.jsonl", format!("{good}[9000]\n[9001]\n"));
    let summary =
        scratch.run("run -j 1 f:f --tasks bad.jsonl --checkpoint c.checkpoint --json").expect_code(0).json();
    assert_eq!(summary["skipped"].as_u64(), Some(kept as u64));
    assert_eq!(outcomes(&scratch.file("c.checkpoint")).len(), 9_002);
}

#[test]
fn a_checkpoint_that_cannot_be_used_is_left_alone() {
    let scratch = scratch();
    let run = "run -j 1 f:f --tasks tasks.jsonl --checkpoint c.checkpoint";
    scratch.run(run).expect_code(0);
    let sound = std::fs::read(scratch.file("c.checkpoint")).expect("written");

    scratch.write("g.py", "def g(n):\n    return -n\n");
    let other = "run -j 1 g:g --tasks tasks.jsonl --checkpoint c.checkpoint";
    scratch.run(other).expect_code(3).expect_error(&["c.checkpoint", "f:f", "g:g", "--any-work"]);

    let mut damaged = sound.clone();
    damaged[sound.len() / 3] ^= 0x10;
    scratch.write("c.checkpoint", &damaged);
    scratch.run(run).expect_code(3).expect_error(&["c.checkpoint"]);
    assert_eq!(
        std::fs::read(scratch.file("c.checkpoint")).expect("there"),
        damaged,
        "opening changes nothing"
    );

    scratch.write("c.checkpoint", "date,code,value\n");
    scratch.run(run).expect_code(3).expect_error(&["c.checkpoint", "not a"]);
    std::fs::remove_file(scratch.file("c.checkpoint")).expect("there");
    std::fs::create_dir(scratch.file("c.checkpoint")).expect("room");
    scratch.run(run).expect_code(2).expect_error(&["c.checkpoint", "folder"]);
}

#[test]
fn a_checkpoint_in_use_names_its_holder() {
    let scratch = scratch();
    scratch
        .write("slow.py", "import time\ndef f(n):\n    open('began', 'w').close()\n    time.sleep(1000)\n");
    let first = scratch.start("run -j 1 slow:f --tasks tasks.jsonl --checkpoint c.checkpoint");
    scratch.wait_for_file("began", &first);
    scratch
        .run("run -j 1 slow:f --tasks tasks.jsonl --checkpoint c.checkpoint")
        .expect_code(3)
        .expect_error(&["c.checkpoint", "in use", "pid"]);
}

#[test]
fn a_port_in_use_and_a_bad_address_are_usage_errors() {
    let scratch = scratch();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let args = format!("coordinator --listen {address} --access-dir access");
    scratch.run(&args).expect_code(2).expect_error(&[&address.to_string(), "in use"]);
    scratch
        .run("coordinator --listen 127.0.0.1 --access-dir access")
        .expect_code(2)
        .expect_error(&["HOST:PORT"]);
}

#[test]
fn a_coordinator_that_refuses_its_folder_leaves_nothing_in_it() {
    let scratch = scratch();
    let folder = scratch.file("access");
    std::fs::create_dir(&folder).expect("room");
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).expect("mine");
    let args = "coordinator --listen 127.0.0.1:0 --access-dir access";
    scratch.run(args).expect_code(5).expect_error(&["access", "chmod 700"]);
    assert_eq!(std::fs::read_dir(&folder).expect("there").count(), 0);
}

#[test]
fn the_wrong_key_does_not_open() {
    let scratch = scratch();
    let cluster = Cluster::start(&scratch, &[]);
    let submit = |file: &str| scratch.run(&format!("submit --access-file {file} f:f --tasks tasks.jsonl"));
    submit("access/worker.access").expect_code(5).expect_error(&["worker.access", "client"]);
    scratch
        .run("worker --access-file access/client.access")
        .expect_code(5)
        .expect_error(&["client.access", "worker"]);
    scratch.write("garbage.access", "hello");
    std::fs::set_permissions(scratch.file("garbage.access"), PermissionsExt::from_mode(0o600)).expect("mine");
    submit("garbage.access").expect_code(5).expect_error(&["garbage.access"]);
    std::fs::copy(scratch.file("access/client.access"), scratch.file("open.access")).expect("there");
    std::fs::set_permissions(scratch.file("open.access"), PermissionsExt::from_mode(0o644)).expect("mine");
    submit("open.access").expect_code(5).expect_error(&["open.access", "chmod 600"]);

    // The access file of another cluster, with this one's address.
    let mut stranger = scratch.command("coordinator --listen 127.0.0.1:0 --access-dir other");
    stranger.env("MANIPLE_LOG", "info");
    let stranger = Program::start(stranger);
    let theirs = stranger.wait_for("listening on ");
    let theirs = theirs.rsplit(' ').next().expect("an address").to_owned();
    let ours = std::fs::read_to_string(scratch.file("access/client.access")).expect("there");
    let address = ours.split('"').find(|text| text.starts_with("127.0.0.1:")).expect("an address").to_owned();
    let foreign = std::fs::read_to_string(scratch.file("other/client.access"))
        .expect("there")
        .replace(&theirs, &address);
    scratch.write("foreign.access", foreign);
    std::fs::set_permissions(scratch.file("foreign.access"), PermissionsExt::from_mode(0o600)).expect("mine");
    submit("foreign.access").expect_code(5).expect_error(&["cluster"]);
    drop(stranger);
    cluster.stop();
}

#[test]
fn nobody_there_is_said_at_once() {
    let scratch = scratch();
    let cluster = Cluster::start(&scratch, &[]);
    cluster.stop();
    // A port that nobody takes meanwhile: the one just given up may become another test's.
    let path = scratch.file("access/client.access");
    let access = std::fs::read_to_string(&path).expect("there");
    let address = access.split('"').find(|text| text.starts_with("127.0.0.1:")).expect("an address");
    std::fs::write(&path, access.replace(address, "127.0.0.1:1")).expect("mine");
    scratch
        .run("submit --access-file access/client.access f:f --tasks tasks.jsonl")
        .expect_code(2)
        .expect_error(&["127.0.0.1:", "refused"]);
}

#[test]
fn garbage_on_the_port_harms_nobody() {
    let scratch = scratch();
    let cluster = Cluster::start(&scratch, &[1]);
    let access = std::fs::read_to_string(scratch.file("access/client.access")).expect("there");
    let address =
        access.split('"').find(|text| text.starts_with("127.0.0.1:")).expect("an address").to_owned();
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 65_536], &[0x16, 3, 1], &[]] {
        let mut socket = TcpStream::connect(&address).expect("it listens");
        let _ = socket.write_all(bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.len() < 1_000, "a stranger is told nothing");
    }
    scratch.run("submit --access-file access/client.access f:f --tasks tasks.jsonl").expect_code(0);
    let said = cluster.coordinator.as_ref().expect("it runs").said();
    assert!(said.contains("turned a connection away"), "{said}");
    cluster.stop();
}

fn limited(scratch: &Scratch, blocks: u32, run: &str) -> Ended {
    let mut shell = std::process::Command::new("sh");
    let binary = maniple_tests::binary::maniple().display();
    shell.args(["-c", &format!("ulimit -f {blocks}; exec {binary} {run}")]);
    scratch.prepare(&mut shell);
    Program::start(shell).wait()
}

#[test]
fn a_small_limit_of_file_sizes_is_named() {
    let scratch = scratch();
    scratch.write("big.py", "def f(n):\n    return 'x' * 4000\n");
    scratch.numbers("many.jsonl", 0..2_000);
    let run = "run -j 1 big:f --tasks many.jsonl --checkpoint c.checkpoint --batch-size 20 --flush 0";
    limited(&scratch, 8, run).expect_code(2).expect_error(&["ulimit -f", "4.0 KiB"]);
    assert!(!scratch.file("c.checkpoint").exists());
    limited(&scratch, 4096, run).expect_code(4).expect_error(&["c.checkpoint", "ulimit -f"]);
    let kept = outcomes(&scratch.file("c.checkpoint")).len() as u64;
    assert!(kept > 0, "what was there in time is kept");
    let summary = scratch.run(&format!("{run} --json")).expect_code(0).json();
    assert_eq!(summary["skipped"].as_u64(), Some(kept));
}

#[test]
fn a_full_disk_stops_the_job_and_loses_nothing_durable() {
    let scratch = scratch();
    let folder = scratch.file("small");
    std::fs::create_dir(&folder).expect("room");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&folder)
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        return maniple_tests::skip::not_checked(
            "a full disk under the checkpoint",
            "mounting a tmpfs needs root",
        );
    }
    scratch.write("big.py", "import time\ndef f(n):\n    time.sleep(0.002)\n    return f'{n:04}' * 250\n");
    scratch.numbers("many.jsonl", 0..2_000);
    let run = "run -j 2 big:f --tasks many.jsonl --checkpoint small/c.checkpoint --json --flush 0.05 --batch-size 20";
    let ended = scratch.run(run);
    let kept = outcomes(&folder.join("c.checkpoint")).len() as u64;
    let grown = std::process::Command::new("mount").args(["-o", "remount,size=16m"]).arg(&folder).status();
    let again = scratch.run(run);
    let all = outcomes(&folder.join("c.checkpoint")).len();
    std::process::Command::new("umount").arg(&folder).status().expect("umount runs");
    assert!(grown.is_ok_and(|status| status.success()));
    assert_eq!(ended.code(), 4, "{}", ended.stderr);
    let summary = ended.json();
    assert!(summary["stopped"]["message"].as_str().expect("a message").contains("c.checkpoint"), "{summary}");
    let durable = summary["durable"].as_u64().expect("a count");
    assert!(durable > 0 && durable <= kept, "of {durable} durable outcomes {kept} are there");
    assert_eq!((again.code(), again.json()["skipped"].as_u64(), all), (0, Some(kept), 2_000));
}

#[test]
fn a_disk_that_becomes_read_only_stops_the_job_and_loses_nothing_durable() {
    let scratch = scratch();
    let folder = scratch.file("disk");
    let disk = match FailingDisk::mount(&folder) {
        Ok(disk) => disk,
        Err(why) => return maniple_tests::skip::not_checked("a disk that becomes read-only", &why),
    };
    let wait = "    while n >= 400 and not os.path.exists('go'): time.sleep(0.01)\n";
    scratch.write("slow.py", format!("import os, time\ndef f(n):\n{wait}    return n\n"));
    scratch.numbers("many.jsonl", 0..2_000);
    let run = "run -j 2 slow:f --tasks many.jsonl --checkpoint disk/c.checkpoint --flush 0.05 --batch-size 1";
    let running = scratch.start(run);
    let checkpoint = folder.join("c.checkpoint");
    let said = || format!("400 values are not kept:\n{}", running.said());
    until(PATIENCE, || checkpoint.exists() && outcomes(&checkpoint).len() == 400, said);
    // Of a sync that is under way as a disk fails, the kernel may say that it went well.
    for name in ["c.checkpoint.wal", "c.checkpoint"] {
        std::fs::File::open(folder.join(name))
            .and_then(|file| file.sync_all())
            .expect("the disk is sound yet");
    }
    disk.fail();
    scratch.write("go", "");
    running.wait().expect_code(4).expect_error(&[
        "c.checkpoint",
        "Read-only file system",
        "check the storage",
    ]);
    assert!(outcomes(&checkpoint).len() >= 400);
    // It cannot even be opened.
    scratch.run(run).expect_code(4).expect_error(&["c.checkpoint", "Read-only file system"]);
    disk.repair();
    let summary = scratch.run(&format!("{run} --json")).expect_code(0).json();
    assert_eq!(summary["skipped"].as_u64(), Some(400), "{summary}");
    assert_eq!(outcomes(&checkpoint).len(), 2_000);
}
