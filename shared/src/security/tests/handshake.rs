//! Who gets in, and as what.

use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::TcpUserTimeout};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use crate::security::{
    AccessFile, Cluster, Role, accept_tls, connect_tls,
    tests::{Site, access, config_of, patient},
    tls::server_config,
};

#[tokio::test]
async fn each_role_is_recognised_and_bytes_pass_both_ways() {
    let site = Site::new().await;
    for role in [Role::Worker, Role::Client] {
        let access = site.access(role);
        let config = config_of(&access);
        let (connected, accepted) = tokio::join!(connect_tls(&access, &config, patient()), async {
            let (tcp, _) = site.listener.accept().await.unwrap();
            accept_tls(tcp, &site.cluster, &site.config, patient()).await
        });
        let ((mut ours, address), (mut theirs, proven)) = (connected.unwrap(), accepted.unwrap());
        assert_eq!((proven, address), (role, site.address()));
        ours.write_all(b"ping").await.unwrap();
        ours.flush().await.unwrap();
        let mut four = [0; 4];
        theirs.read_exact(&mut four).await.unwrap();
        theirs.write_all(&four).await.unwrap();
        theirs.flush().await.unwrap();
        ours.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"ping");
    }
}

#[tokio::test]
async fn a_restarted_coordinator_is_still_the_same_to_its_workers() {
    let site = Site::new().await;
    let worker = site.access(Role::Worker);
    let again = Cluster::open_or_create(&access(site.directory.path()), &[site.address()]).unwrap();
    let config = server_config(&again).unwrap();
    let client = config_of(&worker);
    let (connected, accepted) = tokio::join!(connect_tls(&worker, &client, patient()), async {
        let (tcp, _) = site.listener.accept().await.unwrap();
        accept_tls(tcp, &again, &config, patient()).await
    });
    connected.unwrap();
    assert_eq!(accepted.unwrap().1, Role::Worker);
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let site = Site::new().await;
    let mut worker = site.access(Role::Worker);
    let (_reserved, dead) = dead_address();
    worker.addresses.insert(0, dead);
    let client = config_of(&worker);
    let (connected, accepted) = tokio::join!(connect_tls(&worker, &client, patient()), async {
        let (tcp, _) = site.listener.accept().await.unwrap();
        accept_tls(tcp, &site.cluster, &site.config, patient()).await
    });
    assert_eq!(connected.unwrap().1, site.address());
    accepted.unwrap();
}

#[tokio::test]
async fn both_ends_have_the_socket_options() {
    let site = Site::new().await;
    let worker = site.access(Role::Worker);
    let client = config_of(&worker);
    let (connected, accepted) = tokio::join!(connect_tls(&worker, &client, patient()), async {
        let (tcp, _) = site.listener.accept().await.unwrap();
        accept_tls(tcp, &site.cluster, &site.config, patient()).await
    });
    let (ours, theirs) = (connected.unwrap().0, accepted.unwrap().0);
    for tcp in [ours.get_ref().0, theirs.get_ref().0] {
        assert!(tcp.nodelay().unwrap());
        assert_eq!(u128::from(getsockopt(tcp, TcpUserTimeout).unwrap()), patient().lease.as_millis());
    }
    assert_eq!(patient().handshake, Duration::from_secs(5));
}

#[tokio::test]
async fn no_ticket_is_given_and_nothing_resumed() {
    let site = Site::new().await;
    let worker: AccessFile = site.access(Role::Worker);
    let client = config_of(&worker);
    for _ in 0..2 {
        let (connected, accepted) = tokio::join!(connect_tls(&worker, &client, patient()), async {
            let (tcp, _) = site.listener.accept().await.unwrap();
            accept_tls(tcp, &site.cluster, &site.config, patient()).await
        });
        let (mut ours, (mut theirs, _)) = (connected.unwrap().0, accepted.unwrap());
        theirs.shutdown().await.unwrap();
        assert_eq!(ours.read(&mut [0; 1]).await.unwrap(), 0);
        let connection = ours.get_ref().1;
        assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(connection.tls13_tickets_received(), 0);
    }
}

/// An address at which nobody listens, nor will while the socket lives: it is bound, but does not listen.
pub(super) fn dead_address() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}
