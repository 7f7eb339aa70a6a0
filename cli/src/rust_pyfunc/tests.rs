//! Backups of every version, whole, cut, and with flipped bits.

use super::*;

const V2: &[u8] = include_bytes!("../../../tests/golden/rust_pyfunc/v2.bin");
const V3: &[u8] = include_bytes!("../../../tests/golden/rust_pyfunc/v3.bin");
const V4: &[u8] = include_bytes!("../../../tests/golden/rust_pyfunc/v4.bin");
const V4_CONVERTED: &[u8] = include_bytes!("../../../tests/golden/rust_pyfunc/v4-converted.bin");

type Row = (i64, String, Vec<f64>);

fn read(bytes: &[u8]) -> (Vec<Row>, Vec<Lost>) {
    let mut rows = Vec::new();
    let backup = Backup::open(bytes).expect("a header");
    let lost = backup.records(&mut |record| {
        rows.push((record.date, record.code.to_owned(), record.factors().collect()));
    });
    (rows, lost.expect("memory can be read"))
}

fn shown(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|(date, code, factors)| format!("{date} {code} {factors:?}")).collect()
}

#[test]
fn every_version_gives_its_rows() {
    let (rows, lost) = read(V2);
    assert_eq!(lost, []);
    assert_eq!(
        shown(&rows),
        [
            "20240102 000001 [1.5, 0.1, NaN]",
            "20240102 BRK.B [2.5, 0.3333333333333333, 3.0]",
            "20240103 600519.SH [NaN, NaN, NaN]",
            "20240102 000001 [9.5, 0.7, -0.0]",
        ]
    );
    let narrowed: Vec<Row> = rows
        .into_iter()
        .map(|(date, code, factors)| (date, code, factors.iter().map(|&x| f64::from(x as f32)).collect()))
        .collect();
    for narrow in [V3, V4_CONVERTED] {
        let (rows, lost) = read(narrow);
        assert_eq!((shown(&rows), lost), (shown(&narrowed), Vec::new()));
    }
    let (rows, lost) = read(V4);
    assert_eq!((rows.len(), lost), (15, Vec::new()));
    assert_eq!(shown(&rows[..1]), ["20240102 000002 [2024.01025390625, 6.0, 0.10000000149011612, NaN]"]);
}

/// No row that is shown was not in the file, and what was passed over is told.
fn is_honest(bytes: &[u8], whole: &[u8], context: &str) {
    let expected = shown(&read(whole).0);
    let Ok(backup) = Backup::open(bytes) else { return };
    if backup.form.record_len() != Backup::open(whole).expect("a header").form.record_len() {
        return;
    }
    let (rows, lost) = read(bytes);
    let rows = shown(&rows);
    assert!(rows.iter().all(|row| expected.contains(row)), "{context}: {rows:?}");
    assert!(rows.len() == expected.len() || !lost.is_empty() || bytes.len() < whole.len(), "{context}");
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

#[test]
fn damage_is_told_and_gives_no_row() {
    for (name, whole) in [("v3", V3), ("v4", V4), ("v4-converted", V4_CONVERTED)] {
        for cut in 0..whole.len() {
            is_honest(&whole[..cut], whole, &format!("{name} cut at {cut}"));
        }
    }
    for bit in HEADER as usize * 8..V3.len() * 8 {
        is_honest(&flipped(V3, bit), V3, &format!("flipped at bit {bit}"));
    }
    // In what is compressed a bit changes many, and a sum does not see all of that: it must only be survived.
    for bit in 0..V4.len() * 8 {
        if Backup::open(&flipped(V4, bit)[..]).is_ok() {
            read(&flipped(V4, bit));
        }
    }
}

#[test]
fn chunks_behind_a_torn_one_and_beyond_the_count_are_found() {
    let first_end = HEADER as usize + 8 + 0x7b;
    let mut torn = V4[..first_end - 20].to_vec();
    torn.extend_from_slice(&V4[first_end..]);
    torn[12..20].copy_from_slice(&1u64.to_le_bytes());
    let (rows, lost) = read(&torn);
    assert_eq!(rows.len(), 11);
    let lost: Vec<(u64, u64)> = lost.iter().map(|lost| (lost.bytes.start, lost.bytes.end)).collect();
    assert_eq!(lost, [(64, first_end as u64 - 20)]);
}

#[test]
fn strangers_and_unknown_versions_are_named() {
    let error = |bytes: &[u8]| Backup::open(bytes).err().expect("an error").to_string();
    assert!(error(b"date,code").contains("does not begin with RPBACKUP"));
    let mut later = V4.to_vec();
    later[8] = 5;
    assert!(error(&later).contains("version 5"));
    later[8] = 4;
    later[20] = 1;
    assert!(error(&later).contains("cannot hold 4 factors"));
}
