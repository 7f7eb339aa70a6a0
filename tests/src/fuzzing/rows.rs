//! What must hold of rows that are written: they come back byte for byte, whatever layout was found for them.

use shared::{
    checkpoint::{Compress, Options, Place, Rows, Scanner, Step, encode_values},
    msgpack,
};

const PLACE: Place = Place { tag: 7, sequence: 0, durable: 0, at: 0 };

/// Writes the MessagePack values in `bytes` - the first half as keys, the others as values - and reads them.
///
/// # Panics
/// If they do not come back.
pub fn written_and_read(bytes: &[u8]) {
    let whole: Vec<&[u8]> = msgpack::values(bytes).map_while(Result::ok).collect();
    let count = whole.len() / 2;
    let Ok(rows) = u32::try_from(count) else { return };
    if rows == 0 {
        return;
    }
    let rows = Rows { keys: whole[..count].concat(), values: whole[count..2 * count].concat(), count: rows };
    for plain in [false, true] {
        for compress in [Compress::None, Compress::Zstd] {
            assert_come_back(&rows, Options { compress, folds: None, plain });
        }
    }
}

/// Writes rows as one frame and reads that.
pub(super) fn assert_come_back(rows: &Rows, options: Options) {
    let mut out = Vec::new();
    encode_values(PLACE, &rows.keys, &rows.values, rows.count, &[], options, &mut out);
    let mut scanner = Scanner::new(&out[..], 0, out.len() as u64, None);
    let Some(Step::Frame(frame)) = scanner.step().expect("memory") else { panic!("it was just written") };
    let head = scanner.head(&frame).expect("memory").expect("it was just written");
    let read = Rows::read(&out[..], &frame, &head).expect("it was just written").expect("values");
    assert!(read == *rows, "rows come back as what they were: {options:?}");
}
