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
        self.ask("PUT", &format!("/{bucket}"));
        bucket
    }

    /// What an object holds.
    pub fn get(&self, bucket: &str, name: &str) -> Vec<u8> {
        self.ask("GET", &format!("/{bucket}/{name}"))
    }

    /// Removes an object.
    pub fn remove(&self, bucket: &str, name: &str) {
        self.ask("DELETE", &format!("/{bucket}/{name}"));
    }

    fn ask(&self, method: &str, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let host = "Host: s3.amazonaws.com\r\nConnection: close\r\nContent-Length: 0";
        // It believes any signature, but wants to see one.
        let signed = "Authorization: AWS4-HMAC-SHA256 Credential=tester/20240101/us-east-1/s3/aws4_request";
        write!(stream, "{method} {path} HTTP/1.1\r\n{host}\r\n{signed}\r\n\r\n").expect("it reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it answers");
        assert!(answer.starts_with(b"HTTP/1.1 2"), "{path}: {}", String::from_utf8_lossy(&answer));
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an end of the head");
        answer.split_off(head + 4)
    }
}
