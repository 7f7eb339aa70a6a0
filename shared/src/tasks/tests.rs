//! The list against a map of the standard library, and what it holds in memory.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Bytes of memory that a key may cost beyond its own.
const OVERHEAD: usize = 10;
/// Bytes for the piece that is being filled.
const CONSTANT: usize = 64 << 10;

fn encoded(number: u64) -> Vec<u8> {
    let mut key = Vec::new();
    match number % 4 {
        0 => drop(rmp::encode::write_uint(&mut key, number)),
        1 => rmp::encode::write_str(&mut key, &number.to_string()).expect("memory"),
        _ => key = of_day_and_code(number as u32),
    }
    key
}

/// `[20240102, "000001"]` and the like.
fn of_day_and_code(number: u32) -> Vec<u8> {
    let mut key = Vec::new();
    let (day, code) = (20_240_102 + number / 5_400, number % 5_400);
    rmp::encode::write_array_len(&mut key, 2).expect("memory");
    rmp::encode::write_uint(&mut key, u64::from(day)).expect("memory");
    rmp::encode::write_str(&mut key, &format!("{code:06}")).expect("memory");
    key
}

fn found(list: &TaskList, keys: &[u8]) -> Vec<TaskIndex> {
    let mut tasks = Vec::new();
    list.find_all(keys, |task| tasks.push(task));
    tasks
}

#[test]
fn a_key_is_kept_once_and_found_again() {
    let mut list = TaskList::new();
    assert_eq!(list.extend(&[1, 2, 0xa1, b'x', 2]), Ok(TaskRange::new(0, 3)));
    assert_eq!(list.extend(&[1, 7]), Ok(TaskRange::new(3, 4)));
    assert_eq!(found(&list, &[0xa1, b'x', 9, 7, 1, 2]), [2, 3, 0, 1].map(TaskIndex));
    assert_eq!(list.key(TaskIndex(3)), &[7]);
    assert_eq!(&list.keys(&[TaskRange::new(0, 1), TaskRange::new(2, 4)])[..], &[1, 0xa1, b'x', 7]);
    assert_eq!(list.key_bytes(), 5);
}

#[test]
fn nothing_is_found_in_an_empty_list() {
    let list = TaskList::new();
    assert_eq!(found(&list, &[1, 2]), []);
    assert!(list.keys(&[]).is_empty());
}

#[test]
fn a_cut_key_is_refused() {
    assert_eq!(TaskList::new().extend(&[1, 0xa5, b'x']), Err(Malformed));
}

/// Adds keys in chunks and holds the list to what a map says of them.
fn check(numbers: &[u64], chunk: usize, asked: &[u64], ranges: &[(u32, u32)]) {
    let (mut list, mut model, mut order) = (TaskList::new(), HashMap::new(), Vec::new());
    for numbers in numbers.chunks(chunk) {
        let keys: Vec<Vec<u8>> = numbers.iter().map(|&number| encoded(number)).collect();
        let before = order.len() as u32;
        for key in &keys {
            model.entry(key.clone()).or_insert_with(|| {
                order.push(key.clone());
                TaskIndex(order.len() as u32 - 1)
            });
        }
        assert_eq!(list.extend(&keys.concat()), Ok(TaskRange::new(before, order.len() as u32)));
    }
    assert_eq!(list.len() as usize, order.len());
    assert_eq!(list.key_bytes() as usize, order.concat().len());
    for (task, key) in (0..).zip(&order) {
        assert_eq!(list.key(TaskIndex(task)), &key[..]);
    }
    let asked: Vec<Vec<u8>> = asked.iter().map(|&number| encoded(number)).collect();
    let expected: Vec<TaskIndex> = asked.iter().filter_map(|key| model.get(key).copied()).collect();
    assert_eq!(found(&list, &asked.concat()), expected);
    assert_eq!(found(&list, &order.concat()).len(), order.len());
    let within = |place: u32| place % (list.len() + 1);
    let range = |&(a, b): &(u32, u32)| TaskRange::new(within(a).min(within(b)), within(a).max(within(b)));
    let ranges: Vec<TaskRange> = ranges.iter().map(range).collect();
    let joined: Vec<u8> =
        ranges.iter().flat_map(|range| range.tasks()).flat_map(|task| list.key(task).to_vec()).collect();
    assert_eq!(&list.keys(&ranges)[..], joined);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_is_a_map_that_keeps_the_order(
        numbers in prop::collection::vec(0u64..12_000, 0..10_000),
        chunk in 1usize..3_000,
        asked in prop::collection::vec(0u64..15_000, 0..300),
        ranges in prop::collection::vec((any::<u32>(), any::<u32>()), 0..4),
    ) {
        check(&numbers, chunk, &asked, &ranges);
    }
}

#[test]
fn whole_pieces_are_joined() {
    let numbers: Vec<u64> = (0..10_000).collect();
    let edges = [(0, 4_096), (4_096, 8_192), (4_095, 8_193), (8_000, 10_000), (10_000, 10_000)];
    check(&numbers, 777, &[9_999, 4_096, 4_097, 0], &edges);
}

#[test]
fn with_repeats_every_key_is_a_task() {
    let keys: Vec<u8> = [7, 7, 3, 7].iter().flat_map(|number| of_day_and_code(*number)).collect();
    let mut list = TaskList::with_repeats();
    assert_eq!(list.extend(&keys).expect("well formed"), TaskRange::new(0, 4));
    assert_eq!(list.extend(&of_day_and_code(3)).expect("well formed"), TaskRange::new(4, 5));
    let number = |task| list.key(TaskIndex(task)).to_vec();
    assert_eq!((0..5).map(number).collect::<Vec<_>>(), [7, 7, 3, 7, 3].map(of_day_and_code));
}

#[test]
fn memory_is_flat_at_every_moment() {
    let mut list = TaskList::new();
    let mut chunk = Vec::new();
    for number in 0..1_000_000 {
        chunk.extend(of_day_and_code(number));
        if number % 10_000 == 9_999 {
            list.extend(&chunk).expect("well formed");
            chunk.clear();
            let held = list.keys.capacity() + list.index.capacity();
            let most = list.key_bytes() as usize + list.len() as usize * OVERHEAD + CONSTANT;
            assert!(held <= most, "{held} bytes for {} keys of {} bytes", list.len(), list.key_bytes());
        }
    }
}
