//! Identity and access files: what is written, what is kept, what is refused.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::security::{
    AccessError, AccessFile, Cluster, ClusterError, ClusterId, Role,
    cluster::IDENTITY,
    identity::Identity,
    store::{Kind, StoreError, create_private, read_private, refuse},
    tests::{access, addresses},
    tls::{client_config, server_name},
};

const GOLDEN: &str = include_str!("../../../../tests/golden/access-v1/worker.access");

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// An access directory, its cluster and the path of `worker.access`.
fn made(address: &str) -> (TempDir, Cluster, PathBuf) {
    let directory = TempDir::new().unwrap();
    let cluster = Cluster::open_or_create(&access(directory.path()), &addresses(address)).unwrap();
    let path = cluster.access_path(Role::Worker);
    (directory, cluster, path)
}

/// The one line that a user sees for a `worker.access` with this text.
fn line_for(text: &str) -> String {
    let error = AccessFile::parse(Path::new("w.access"), text).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("w.access "), "{error}");
    assert!(!error.contains("MII"), "an error shows what the file holds: {error}");
    error
}

#[test]
fn everything_is_private() {
    let (directory, cluster, _) = made("127.0.0.1:4711");
    let directory = access(directory.path());
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join(IDENTITY)), 0o600);
    for role in [Role::Worker, Role::Client] {
        assert_eq!(mode(&cluster.access_path(role)), 0o600);
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 3, "no draft stays behind");
}

#[test]
fn reopening_keeps_identity_and_access_files() {
    let (directory, cluster, path) = made("127.0.0.1:4711");
    let before = (fs::metadata(&path).unwrap().modified().unwrap(), fs::read(&path).unwrap());
    let again = Cluster::open_or_create(&access(directory.path()), &addresses("127.0.0.1:4711")).unwrap();
    assert_eq!((&again.id, &again.certificate), (&cluster.id, &cluster.certificate));
    assert_eq!((fs::metadata(&path).unwrap().modified().unwrap(), fs::read(&path).unwrap()), before);
}

#[test]
fn only_the_address_changes_when_the_coordinator_moves() {
    let (directory, cluster, path) = made("127.0.0.1:4711");
    let before = fs::read_to_string(&path).unwrap();
    let there = vec!["node7.example.org:5000".to_owned(), "[::1]:5000".to_owned()];
    let moved = Cluster::open_or_create(&access(directory.path()), &there).unwrap();
    let after = AccessFile::read(&path, Role::Worker).unwrap();
    assert_eq!((moved.id, after.addresses), (cluster.id, there));
    assert_eq!(mode(&path), 0o600);
    Cluster::open_or_create(&access(directory.path()), &addresses("127.0.0.1:4711")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
}

#[test]
fn a_lost_access_file_comes_back_the_same() {
    let (directory, _, path) = made("127.0.0.1:4711");
    let before = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    Cluster::open_or_create(&access(directory.path()), &addresses("127.0.0.1:4711")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn coordinators_that_start_at_once_agree_on_one_identity() {
    let directory = TempDir::new().unwrap();
    let path = access(directory.path());
    let open = || Cluster::open_or_create(&path, &addresses("127.0.0.1:4711")).unwrap().id;
    let ids: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn an_existing_file_is_never_overwritten_by_creation() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    assert!(create_private(&path, "first").unwrap());
    assert!(!create_private(&path, "second").unwrap());
    assert_eq!(read_private(&path).unwrap(), "first");
    let dangling = directory.path().join("link");
    symlink(directory.path().join("elsewhere"), &dangling).unwrap();
    assert!(!create_private(&dangling, "text").unwrap(), "a planted link is not followed");
    assert!(!directory.path().join("elsewhere").exists());
}

#[test]
fn an_unusable_access_directory_is_refused() {
    let (directory, ..) = made("127.0.0.1:4711");
    let path = access(directory.path());
    chmod(&path, 0o750);
    let error = Cluster::open_or_create(&path, &addresses("127.0.0.1:4711")).unwrap_err().to_string();
    assert!(error.ends_with(&format!("run: chmod 700 {}", path.display())), "{error}");
    chmod(&path, 0o700);
    let torn = "{\"version\": 1, \"cluster\"";
    fs::write(path.join(IDENTITY), torn).unwrap();
    let error = Cluster::open_or_create(&path, &addresses("127.0.0.1:4711")).unwrap_err();
    assert!(matches!(error, ClusterError::Damaged { .. }), "{error}");
    assert_eq!(fs::read_to_string(path.join(IDENTITY)).unwrap(), torn, "a damaged identity is left as it is");
}

#[test]
fn addresses_that_nobody_could_use_are_refused() {
    let directory = TempDir::new().unwrap();
    let path = access(directory.path());
    assert!(matches!(Cluster::open_or_create(&path, &[]), Err(ClusterError::NoAddress)));
    for bad in
        ["host", "host:", ":1", "host:0", "host:65536", "::1:80", "[::1:80", "a b:1", "http://h:1", "h\n:1"]
    {
        let outcome = Cluster::open_or_create(&path, &addresses(bad));
        assert!(matches!(outcome, Err(ClusterError::Address(_))), "{bad} was taken");
    }
    assert!(!path.exists());
}

#[test]
fn the_mode_matrix() {
    let (_directory, _, path) = made("127.0.0.1:4711");
    for bits in 0..=0o77 {
        let accepted = AccessFile::read(&path, Role::Worker);
        assert!(accepted.is_ok(), "{accepted:?}");
        chmod(&path, 0o600 | bits);
        match AccessFile::read(&path, Role::Worker) {
            Ok(_) => assert_eq!(bits, 0),
            Err(error) => {
                assert_ne!(bits, 0, "{error}");
                let expected = format!(
                    "{path} is open to other users (mode {:04o}); run: chmod 600 {path}",
                    0o600 | bits,
                    path = path.display()
                );
                assert_eq!(error.to_string(), expected);
            }
        }
        chmod(&path, 0o400);
    }
}

#[test]
fn another_owner_is_refused() {
    let path = Path::new("w.access");
    assert!(refuse(path, Kind::File, true, 1000, 1000, 0o100_600).is_ok());
    for (owner, me) in [(1000, 1001), (1000, 0), (0, 1000)] {
        let outcome = refuse(path, Kind::File, true, owner, me, 0o100_600);
        assert!(matches!(outcome, Err(StoreError::OtherOwner { .. })), "{owner} {me} {outcome:?}");
    }
}

#[test]
fn a_link_is_followed_and_its_target_judged() {
    let (directory, _, path) = made("127.0.0.1:4711");
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(AccessFile::read(&link, Role::Worker).is_ok());
    chmod(&path, 0o644);
    let outcome = AccessFile::read(&link, Role::Worker);
    assert!(matches!(outcome, Err(AccessError::Store(StoreError::TooOpen { .. }))), "{outcome:?}");
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let directory = TempDir::new().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [directory.path(), &pipe] {
        let outcome = AccessFile::read(path, Role::Worker);
        assert!(matches!(outcome, Err(AccessError::Store(StoreError::WrongKind { .. }))), "{outcome:?}");
    }
    let missing = AccessFile::read(&directory.path().join("missing"), Role::Worker);
    assert!(matches!(missing, Err(AccessError::Store(StoreError::Open { .. }))), "{missing:?}");
}

#[test]
fn what_is_no_access_file_is_refused() {
    let (_directory, _, path) = made("127.0.0.1:4711");
    fs::write(&path, vec![b' '; 1 << 20]).unwrap();
    let outcome = AccessFile::read(&path, Role::Worker);
    assert!(matches!(outcome, Err(AccessError::Store(StoreError::TooLong { .. }))), "{outcome:?}");
    fs::write(&path, b"\xff\xfe").unwrap();
    let outcome = AccessFile::read(&path, Role::Worker);
    assert!(matches!(outcome, Err(AccessError::Store(StoreError::NotText { .. }))), "{outcome:?}");
}

#[test]
fn damage_is_one_line_that_shows_no_secret() {
    for end in (0..GOLDEN.len() - 2).step_by(7).filter(|end| GOLDEN.is_char_boundary(*end)) {
        assert!(line_for(&GOLDEN[..end]).contains("copy it again"));
    }
    let key_misplaced = GOLDEN.replace("\"version\": 1", "\"version\": \"-----BEGIN PRIVATE KEY-----MII\"");
    assert!(line_for(&key_misplaced).contains("line 3"));
    assert!(line_for(&GOLDEN.replace("PRIVATE KEY", "PUBLIC THING")).contains("no PEM in \"key\""));
    assert!(line_for(&GOLDEN.replace("198.51.100.7:4711", "198.51.100.7")).contains("is not host:port"));
    assert!(line_for(&GOLDEN.replace("\"version\": 1", "\"version\": 2")).contains("version 2"));
    assert!(line_for(&GOLDEN.replace("\"role\": \"worker\"", "\"role\": \"king\"")).contains("line 5"));
}

#[test]
fn a_file_for_the_other_role_is_refused() {
    let (_directory, cluster, _) = made("127.0.0.1:4711");
    let path = cluster.access_path(Role::Client);
    let error = AccessFile::read(&path, Role::Worker).unwrap_err().to_string();
    let expected =
        format!("{} is for a client, but a worker needs worker.access; give that file", path.display());
    assert_eq!(error, expected);
}

#[test]
fn the_golden_access_file_is_read_and_members_of_later_versions_passed_over() {
    let newer = GOLDEN.replace("\"version\": 1", "\"version\": 1,\n  \"colour\": [\"red\"]");
    for text in [GOLDEN, &newer] {
        let access = AccessFile::parse(Path::new("worker.access"), text).unwrap();
        assert_eq!(access.role, Role::Worker);
        assert_eq!(
            access.addresses,
            ["coordinator.example.org:4711", "198.51.100.7:4711", "[2001:db8::7]:4711"]
        );
        assert_eq!(server_name(&access).to_str(), format!("coordinator.{}.maniple", access.cluster));
        client_config(&access).unwrap();
    }
}

#[test]
fn what_is_written_has_the_shape_of_the_golden_file() {
    let (_directory, _, path) = made("127.0.0.1:4711");
    let names = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.split_once("\": ").map(|(name, _)| name.to_owned())).collect()
    };
    assert_eq!(names(&fs::read_to_string(&path).unwrap()), names(GOLDEN));
}

#[test]
fn reproduces_panic_at_a_cluster_id_of_decimal_digits() {
    let id = ClusterId::try_from("1234567890123456".to_owned()).unwrap();
    let text = Identity::issue(id).unwrap().access_text(Role::Worker, &addresses("127.0.0.1:4711"));
    let access = AccessFile::parse(Path::new("worker.access"), &text).unwrap();
    assert_eq!(server_name(&access).to_str(), "coordinator.1234567890123456.maniple");
}

#[test]
fn debug_shows_no_key() {
    let (_directory, cluster, path) = made("127.0.0.1:4711");
    let access = AccessFile::read(&path, Role::Worker).unwrap();
    let key = format!("{:?}", &access.key.secret_der()[..32]);
    let key = key.trim_matches(['[', ']']);
    assert!(!format!("{access:?}").contains(key));
    let key = format!("{:?}", &cluster.key.secret_der()[..32]);
    assert!(!format!("{cluster:?}").contains(key.trim_matches(['[', ']'])));
}
