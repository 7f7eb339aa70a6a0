//! An S3 server of the test's own: `s3_server.py` on a free port of the loopback, once per test process. It ends with
//! the process that started it, however that ends: its standard input does.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc::channel,
    },
};

use crate::{
    binary::{python, root},
    program::PATIENCE,
    skip::not_checked,
};

/// See the module.
pub struct Server {
    port: u16,
    buckets: AtomicU32,
    _child: Child,
}

/// The server; `None`, and said so, if this machine has none.
pub fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref()
}

fn start() -> Option<Server> {
    let mut child = Command::new(python())
        .arg(root().join("tests/s3_server.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("an interpreter");
    let stdout = child.stdout.take().expect("piped");
    let (said, heard) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        said.send(read.map(|_| line))
    });
    let line = heard.recv_timeout(PATIENCE).expect("it says its port or ends").expect("a pipe");
    match line.trim().parse() {
        Ok(port) => Some(Server { port, buckets: AtomicU32::new(0), _child: child }),
        Err(_) => {
            child.wait().expect("it has closed its output");
            not_checked("checkpoints on S3", "the Python package moto[server] is not installed");
            None
        }
    }
}

impl Server {
    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The environment in which a program uses it.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_ACCESS_KEY_ID", "tester".into()),
            ("AWS_SECRET_ACCESS_KEY", "secret".into()),
            ("AWS_REGION", "us-east-1".into()),
        ]
    }

    /// A new, empty bucket.
    pub fn bucket(&self) -> String {
        let bucket = format!("bucket{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        let answer = self.ask("PUT", &format!("/{bucket}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        bucket
    }

    /// The names of the objects in a bucket, as the server lists them.
    pub fn names(&self, bucket: &str) -> Vec<String> {
        let answer = self.ask("GET", &format!("/{bucket}?list-type=2"));
        let keys = answer.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        keys.map(str::to_owned).collect()
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let host = "Host: s3.amazonaws.com\r\nConnection: close\r\nContent-Length: 0";
        write!(stream, "{method} {path} HTTP/1.1\r\n{host}\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}
