//! Who does not get in, and what each side is told.

use std::{io, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::security::{
    AcceptError, AccessFile, Category, ConnectError, Reason, Role, ServerStream, Timing, accept_tls,
    connect_tls,
    tests::{Site, config_of, handshake::dead_address, patient},
    tls::{client_config, server_config},
};

async fn accept(site: &Site, timing: Timing) -> Result<(ServerStream, Role), AcceptError> {
    let (tcp, _) = site.listener.accept().await.unwrap();
    accept_tls(tcp, &site.cluster, &site.config, timing).await
}

/// What the first read of somebody who believes to be connected says.
async fn first_read(stream: &mut (impl AsyncRead + Unpin)) -> io::Error {
    match stream.read(&mut [0; 1]).await {
        Ok(n) => panic!("read {n} bytes instead of an error"),
        Err(error) => error,
    }
}

/// Connects with this configuration, sends a hello as an honest client would, and hears the refusal.
async fn refused(site: &Site, access: &AccessFile, config: Arc<ClientConfig>) -> (ConnectError, AcceptError) {
    let (error, accepted) = tokio::join!(
        async {
            match connect_tls(access, &config, patient()).await {
                Err(error) => error,
                Ok((mut stream, address)) => {
                    // The coordinator may have closed already; what counts is what the read says.
                    let _ = stream.write_all(&[7; 1000]).await;
                    let _ = stream.flush().await;
                    ConnectError::first_read(access, &address, &first_read(&mut stream).await)
                }
            }
        },
        accept(site, patient())
    );
    (error, accepted.expect_err("a stranger was let in"))
}

fn reason(error: &ConnectError) -> &Reason {
    &error.tried()[0].1
}

#[tokio::test]
async fn no_certificate() {
    let site = Site::new().await;
    let access = site.access(Role::Worker);
    let mut roots = RootCertStore::empty();
    roots.add(access.authority.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (client, coordinator) = refused(&site, &access, Arc::new(config)).await;
    assert_eq!((reason(&client), client.category()), (&Reason::NotAccepted, Category::Refused));
    assert_eq!(coordinator.to_string(), "handshake failed: peer sent no certificates");
}

#[tokio::test]
async fn certificate_of_another_cluster() {
    let (site, other) = (Site::new().await, Site::new().await);
    let (mut access, stranger) = (site.access(Role::Worker), other.access(Role::Worker));
    access.certificate = stranger.certificate;
    access.key = stranger.key;
    let config = config_of(&access);
    let (client, coordinator) = refused(&site, &access, config).await;
    assert_eq!((reason(&client), client.category()), (&Reason::NotAccepted, Category::Refused));
    assert!(matches!(coordinator, AcceptError::Handshake(_)), "{coordinator}");
    let line = client.to_string();
    let expected = format!(
        "cannot join cluster {} with {}: {}: ",
        access.cluster,
        access.path.display(),
        site.address()
    );
    assert!(line.starts_with(&expected) && line.lines().count() == 1, "{line}");
}

#[tokio::test]
async fn access_file_of_another_cluster() {
    let (site, other) = (Site::new().await, Site::new().await);
    let mut access = other.access(Role::Client);
    access.addresses = vec![site.address()];
    let config = config_of(&access);
    let (client, coordinator) = refused(&site, &access, config).await;
    assert_eq!((reason(&client), client.category()), (&Reason::OtherCluster, Category::Refused));
    assert!(matches!(coordinator, AcceptError::Handshake(_)), "{coordinator}");
}

#[tokio::test]
async fn the_key_of_a_worker_makes_no_client() {
    let site = Site::new().await;
    let (mut access, worker) = (site.access(Role::Client), site.access(Role::Worker));
    access.certificate = worker.certificate;
    access.key = worker.key;
    let config = config_of(&access);
    let (_connected, accepted) =
        tokio::join!(connect_tls(&access, &config, patient()), accept(&site, patient()));
    assert_eq!(accepted.unwrap().1, Role::Worker);
}

#[tokio::test]
async fn a_certificate_without_its_key_is_of_no_use() {
    let mut site = Site::new().await;
    let (mut access, worker) = (site.access(Role::Client), site.access(Role::Worker));
    access.key = worker.key;
    let line = client_config(&access).unwrap_err().to_string();
    assert!(line.starts_with(&format!("{} is not a maniple access file", access.path.display())), "{line}");
    site.cluster.key = access.key;
    let line = server_config(&site.cluster).unwrap_err().to_string();
    assert!(line.starts_with(&format!("{} is damaged", site.cluster.identity_path().display())), "{line}");
}

#[tokio::test]
async fn a_worker_cannot_pose_as_the_coordinator() {
    let mut site = Site::new().await;
    let access = site.access(Role::Worker);
    site.cluster.certificate = access.certificate.clone();
    site.cluster.key = access.key.clone_key();
    site.config = server_config(&site.cluster).unwrap();
    let config = config_of(&access);
    let (client, _) = refused(&site, &access, config).await;
    // Already its purpose is wrong, not only its name.
    assert_eq!((reason(&client), client.category()), (&Reason::NotACoordinator, Category::Refused));
}

#[tokio::test]
async fn garbage_at_the_tls_port() {
    let site = Site::new().await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 5000], &[0; 64]] {
        let (accepted, heard) = tokio::join!(accept(&site, patient()), async {
            let mut tcp = TcpStream::connect(site.address()).await.unwrap();
            tcp.write_all(garbage).await.unwrap();
            let mut heard = Vec::new();
            tcp.read_to_end(&mut heard).await.expect("an orderly end: a reset could overtake the alert");
            heard
        });
        assert!(matches!(accepted, Err(AcceptError::Handshake(_))), "{accepted:?}");
        assert!(heard.len() < 100, "a stranger gets an alert at most: {heard:?}");
    }
}

#[tokio::test]
async fn three_bytes_and_silence() {
    let site = Site::new().await;
    let mut tcp = TcpStream::connect(site.address()).await.unwrap();
    tcp.write_all(&[22, 3, 1]).await.unwrap();
    let timing = Timing { handshake: Duration::from_millis(20), lease: patient().lease };
    let accepted = accept(&site, timing).await;
    assert!(matches!(accepted, Err(AcceptError::TimedOut(_))), "{accepted:?}");
    // The connection is gone: an end or a reset, but no waiting.
    assert!(matches!(tcp.read(&mut [0; 1]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn who_hung_up_before_its_turn_costs_no_handshake() {
    let site = Site::new().await;
    let access = site.access(Role::Worker);
    // One that was not answered in time: its hello is there, and its end.
    let timing = Timing { handshake: Duration::from_millis(20), lease: patient().lease };
    let gone = connect_tls(&access, &config_of(&access), timing).await.map(|_| ());
    assert!(gone.is_err_and(|error| error.category() == Category::Unreachable));
    let accepted = accept(&site, patient()).await;
    assert!(matches!(accepted, Err(AcceptError::HungUp)), "{accepted:?}");
}

#[tokio::test]
async fn a_refused_peer_that_never_closes_is_dropped_at_the_limit() {
    let site = Site::new().await;
    let mut tcp = TcpStream::connect(site.address()).await.unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let timing = Timing { handshake: Duration::from_millis(50), lease: patient().lease };
    let accepted = accept(&site, timing).await;
    assert!(matches!(accepted, Err(AcceptError::Handshake(_))), "{accepted:?}");
    let mut heard = Vec::new();
    let _ = tcp.read_to_end(&mut heard).await;
    assert_eq!(heard.first(), Some(&21), "an alert record, then the end");
}

#[tokio::test]
async fn a_plain_port_is_no_coordinator() {
    let site = Site::new().await;
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut access = site.access(Role::Worker);
    access.addresses = vec![plain.local_addr().unwrap().to_string()];
    let config = config_of(&access);
    let (connected, ()) = tokio::join!(connect_tls(&access, &config, patient()), async {
        let (mut tcp, _) = plain.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Until the client has gone.
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    });
    let error = connected.unwrap_err();
    assert_eq!((reason(&error), error.category()), (&Reason::NotACoordinator, Category::Refused));
}

#[tokio::test]
async fn what_may_heal_is_unreachable() {
    let mut access = Site::new().await.access(Role::Worker);
    let config = config_of(&access);
    let closing = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_reserved, dead) = dead_address();
    access.addresses = vec![dead, closing.local_addr().unwrap().to_string()];
    let (connected, ()) = tokio::join!(connect_tls(&access, &config, patient()), async {
        let (mut tcp, _) = closing.accept().await.unwrap();
        let _ = tcp.read(&mut [0; 4096]).await;
    });
    let error = connected.unwrap_err();
    let reasons: Vec<_> = error.tried().iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, [&Reason::NobodyListens, &Reason::Lost]);
    assert_eq!(error.category(), Category::Unreachable);
    assert_eq!(error.to_string().lines().count(), 1);
}

#[tokio::test]
async fn a_silent_address_is_given_up_at_the_limit() {
    let mut access = Site::new().await.access(Role::Worker);
    let config = config_of(&access);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    access.addresses = vec![silent.local_addr().unwrap().to_string()];
    let timing = Timing { handshake: Duration::from_millis(20), lease: patient().lease };
    let error = connect_tls(&access, &config, timing).await.unwrap_err();
    let expected = (&Reason::TimedOut(timing.handshake), Category::Unreachable);
    assert_eq!((reason(&error), error.category()), expected);
}

#[tokio::test]
async fn one_address_that_may_come_to_life_keeps_a_worker_trying() {
    let access = Site::new().await.access(Role::Worker);
    let refused = ("a:1".to_owned(), Reason::OtherCluster);
    let down = ("b:1".to_owned(), Reason::NobodyListens);
    let category = |tried| ConnectError::new(&access, tried).category();
    assert_eq!(category(vec![refused.clone(), down]), Category::Unreachable);
    assert_eq!(category(vec![refused.clone(), refused]), Category::Refused);
}
