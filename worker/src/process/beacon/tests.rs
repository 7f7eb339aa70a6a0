//! What the other side sees, through the file instead of a mapping.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;

#[test]
fn a_fresh_beacon_is_idle_and_forbids_nothing() {
    let (beacon, fd) = Beacon::new().unwrap();
    assert_eq!((beacon.running(), beacon.committed()), (None, 0));
    let mut page = [1; SharedPage::BYTES];
    File::from(fd).read_exact_at(&mut page, 0).unwrap();
    let (mut expected, stop) = ([0; SharedPage::BYTES], Beacon::NO_BOUND.to_ne_bytes());
    expected[8..16].copy_from_slice(&stop);
    assert_eq!(page, expected);
}

#[test]
fn each_side_sees_what_the_other_wrote() {
    let (beacon, fd) = Beacon::new().unwrap();
    let file = File::from(fd);
    file.write_all_at(&7_u64.to_ne_bytes(), 0).unwrap();
    file.write_all_at(&9_u64.to_ne_bytes(), 16).unwrap();
    beacon.set_stop(8);
    let mut stop = [0; 8];
    file.read_exact_at(&mut stop, 8).unwrap();
    assert_eq!((beacon.running(), beacon.committed(), u64::from_ne_bytes(stop)), (Some(7), 9, 8));
}

#[test]
fn a_child_cannot_change_the_size() {
    let (beacon, fd) = Beacon::new().unwrap();
    let file = File::from(fd);
    assert!(file.set_len(0).is_err());
    assert!(file.set_len(1 << 20).is_err());
    assert_eq!(beacon.running(), None);
}
