//! How fast frames go through TLS over loopback: `cargo run --release -p maniple-shared --example tls_loopback`.
//!
//! One thread writes, one reads; each line is one size of payload.

use std::{
    error::Error,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shared::{
    codec::{FrameReader, FrameWriter, Limits},
    security::{
        AccessFile, Cluster, Role, Timing, accept_tls, connect_tls,
        tls::{client_config, server_config},
    },
};
use tokio::{net::TcpListener, runtime::Builder};

#[derive(Serialize, Deserialize)]
struct Head {
    batch: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("tls-loopback-{}", std::process::id()));
    let outcome = measure(&directory);
    std::fs::remove_dir_all(&directory)?;
    outcome
}

fn measure(directory: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let cluster = Cluster::open_or_create(directory, &[listener.local_addr()?.to_string()])?;
    let access = AccessFile::read(&cluster.access_path(Role::Worker), Role::Worker)?;
    let (client, server) = (client_config(&access)?, server_config(&cluster)?);
    let timing = Timing::with_lease(Duration::from_secs(60));

    for (size, count) in [(0, 4_000_000), (1 << 10, 1_000_000), (32 << 10, 60_000), (1 << 20, 3_000)] {
        let elapsed = thread::scope(|scope| -> Result<Duration, Box<dyn Error>> {
            let (access, client) = (&access, &client);
            let sender = scope.spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let (stream, _) = connect_tls(access, client, timing).await.expect("a coordinator");
                    let mut writer = FrameWriter::new(stream);
                    let payload = Bytes::from(vec![7; size]);
                    for batch in 0..count {
                        writer.feed(&Head { batch }, payload.clone()).await.expect("a connection");
                    }
                    writer.shutdown().await.expect("a connection");
                });
            });
            let elapsed = runtime.block_on(async {
                let (tcp, _) = listener.accept().await?;
                let (stream, _) = accept_tls(tcp, &cluster, &server, timing).await?;
                let mut reader = FrameReader::new(stream, Limits::DATA);
                let start = Instant::now();
                let mut next = 0;
                while let Some(frame) = reader.next().await? {
                    assert_eq!((frame.message::<Head>()?.batch, frame.payload.len()), (next, size));
                    next += 1;
                }
                assert_eq!(next, count);
                Ok::<_, Box<dyn Error>>(start.elapsed())
            })?;
            sender.join().expect("the sender");
            Ok(elapsed)
        })?;
        let seconds = elapsed.as_secs_f64();
        let (frames, mebibytes) = (count as f64 / seconds, count as f64 * size as f64 / 1048576.0 / seconds);
        println!("payload {size:>8}: {frames:>10.0} frames/s, {mebibytes:>6.0} MiB/s");
    }
    Ok(())
}
