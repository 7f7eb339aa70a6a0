//! How children are made: descriptors, environment, directory, and why not.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use nix::unistd::{Pid, pipe};
use worker::process::output::{Limits, OutputPipe};
use worker::process::procfs::children;
use worker::process::spawner::{Passed, RequestError, SpawnRequest};

use crate::engine::{Engine, command, lifeline, shell};

pub async fn streams_and_descriptors_arrive_under_their_numbers(mut engine: Engine) -> u8 {
    // Each of 32 numbers gets a pipe of its own that holds the number; a shell reads one-digit ones. Backwards, because
    // then a descriptor whose number another one is to get would be overwritten before its turn.
    let mut passed = vec![];
    for number in (0..32).rev().filter(|number| *number != 1) {
        let (reader, writer) = pipe().unwrap();
        writeln!(File::from(writer), "{number}").unwrap();
        passed.push(Passed { fd: reader, number });
    }
    let all = engine
        .output(&shell("for n in 0 2 3 4 5 6 7 8 9; do eval \"cat <&$n\"; done; ls /proc/$$/fd"), passed)
        .await;
    let (read, listed) = all.split_at("0\n2\n3\n4\n5\n6\n7\n8\n9\n".len());
    assert_eq!(read, "0\n2\n3\n4\n5\n6\n7\n8\n9\n");
    assert_eq!(listed.lines().count(), 32, "{listed}");

    // Alone it meets the numbers that are the lowest free ones in the keeper, if it leaves any free.
    for number in 3..10 {
        let (reader, writer) = pipe().unwrap();
        writeln!(File::from(writer), "{number}").unwrap();
        let read =
            engine.output(&shell(&format!("cat <&{number}")), vec![Passed { fd: reader, number }]).await;
        assert_eq!(read, format!("{number}\n"));
    }

    let (mut stderr, end) = OutputPipe::new(Limits::default()).unwrap();
    assert_eq!(
        engine.output(&shell("echo out; echo err >&2"), vec![Passed { fd: end, number: 2 }]).await,
        "out\n"
    );
    assert_eq!(stderr.take().unwrap().head, b"err\n");
    let null = engine.output(&shell("readlink /proc/self/fd/0 /proc/self/fd/2"), vec![]).await;
    assert_eq!(null, "/dev/null\n/dev/null\n");

    let fd = || OwnedFd::from(File::open("/dev/null").unwrap());
    for numbers in [vec![32], vec![-1], vec![4, 4]] {
        let passed = numbers.into_iter().map(|number| Passed { fd: fd(), number }).collect();
        assert!(matches!(engine.spawner.spawn(&shell(""), passed), Err(RequestError::DescriptorNumber(_))));
    }
    0
}

pub async fn children_inherit_nothing_else(mut engine: Engine) -> u8 {
    assert_eq!(engine.output(&shell("ls /proc/$$/fd; :"), vec![]).await, "0\n1\n2\n");
    assert_eq!(engine.output(&shell("ls /proc/$$/fd; :"), lifeline()).await, "0\n1\n2\n9\n");
    let status = engine.output(&command("cat", &["/proc/self/status"]), vec![]).await;
    let signals =
        status.lines().filter_map(|line| line.strip_prefix("SigBlk:").or(line.strip_prefix("SigIgn:")));
    assert_eq!(signals.collect::<Vec<_>>(), ["\t0000000000000000"; 2], "{status}");
    assert_eq!(engine.output(&command("cat", &["/proc/self/oom_score_adj"]), vec![]).await, "500\n");
    let stat = engine.output(&command("cat", &["/proc/self/stat"]), vec![]).await;
    let fields: Vec<&str> = stat.split(' ').collect();
    let (pid, parent, group, session) = (fields[0], fields[3], fields[4], fields[5]);
    assert_eq!((group, session, parent), (pid, pid, engine.keeper.to_string().as_str()));
    0
}

pub async fn failures_name_program_and_reason(mut engine: Engine) -> u8 {
    let path =
        SpawnRequest { environment: vec![("PATH".into(), "/a:/b".into())], ..command("no-such-tool", &[]) };
    let ticket = engine.start(&path, vec![]);
    let text = "cannot start \"no-such-tool\": No such file or directory in PATH \"/a:/b\"";
    assert_eq!(engine.refused(ticket).await, text);
    let ticket = engine.start(&command("/no/such/tool", &[]), vec![]);
    let text = "cannot start \"/no/such/tool\": file \"/no/such/tool\": No such file or directory";
    assert_eq!(engine.refused(ticket).await, text);
    let ticket = engine.start(&command("/etc/passwd", &[]), vec![]);
    assert_eq!(
        engine.refused(ticket).await,
        "cannot start \"/etc/passwd\": file \"/etc/passwd\": Permission denied"
    );
    let ticket = engine.start(&SpawnRequest { directory: Some("/no/such".into()), ..shell("") }, vec![]);
    assert_eq!(
        engine.refused(ticket).await,
        "cannot start \"sh\": its directory \"/no/such\": No such file or directory"
    );
    assert!(matches!(engine.spawner.spawn(&shell("a\0b"), vec![]), Err(RequestError::Nul(_))));
    assert_eq!(children(engine.keeper), [Pid::this()], "a failed start left a zombie");
    0
}

pub async fn environment_and_directory_are_set(mut engine: Engine) -> u8 {
    let environment: Vec<(OsString, OsString)> = vec![("A".into(), "1".into()), ("B".into(), "2".into())];
    let inherited = engine.output(&command("env", &[]), vec![]).await;
    assert!(inherited.contains("MANIPLE_TEST_ROLE=environment"), "{inherited}");
    engine.spawner.set_base_environment(environment).unwrap();
    // Whoever may leave nothing has one entry more.
    let env = SpawnRequest { leaves_strays: true, ..command("env", &[]) };
    assert_eq!(engine.output(&env, vec![]).await, "A=1\nB=2\n");
    let environment = vec![("B".into(), "=".into()), ("C".into(), "3".into())];
    assert_eq!(
        engine
            .output(&SpawnRequest { environment, leaves_strays: true, ..command("env", &[]) }, vec![])
            .await,
        "A=1\nB==\nC=3\n"
    );
    assert_eq!(
        engine.output(&SpawnRequest { directory: Some("/usr".into()), ..command("pwd", &[]) }, vec![]).await,
        "/usr\n"
    );
    0
}

pub async fn long_commands_travel(mut engine: Engine) -> u8 {
    let mut request = shell("cat <&7; echo $#:${#LONG}");
    request.arguments.extend((0..20_001).map(|number| format!("{number:050}").into()));
    request.environment.push(("LONG".into(), "x".repeat(100_000).into()));
    let (reader, writer) = pipe().unwrap();
    write!(File::from(writer), "seven:").unwrap();
    let said = engine.output(&request, vec![Passed { fd: reader, number: 7 }]).await;
    assert_eq!(said, "seven:20000:100000\n");
    0
}
