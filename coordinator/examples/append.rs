//! Writes a checkpoint as fast as it can be written: what `bench/append.py` holds against `dd`.
//!
//! `append PATH ROWS WIDTH`: rows of `WIDTH` float64 with a date and a code as their key, handed over in batches as a
//! job does, and flushed whenever that makes a large frame. Prints the bytes of the file and the seconds that it took.

use std::{env, error::Error, fs, io::Write as _, path::Path, time::Instant};

use coordinator::checkpoint::{CheckpointFile, Terms};
use shared::job::Existing;

/// Rows of a batch.
const BATCH: u32 = 500;
/// Distinct batches of values, which are repeated: more than the caches hold.
const DISTINCT: usize = 32;
const STOCKS: u32 = 5_400;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [path, rows, width] = &args[..] else { return Err("usage: append PATH ROWS WIDTH".into()) };
    let (path, rows, width) = (Path::new(path), rows.parse::<u32>()?, width.parse::<u16>()?);
    let values = values(width);
    let terms = Terms::new("function bench:append".to_owned(), Existing::Resume);
    let (mut file, _) = CheckpointFile::open(path, &terms, &mut |_, _, _| {})?;

    let began = Instant::now();
    let mut keys = Vec::new();
    for (first, values) in (0..rows).step_by(BATCH as usize).zip(values.iter().cycle()) {
        keys.clear();
        let count = BATCH.min(rows - first);
        (first..first + count).for_each(|row| put_key(row, &mut keys));
        let len = values.len() / BATCH as usize * count as usize;
        file.push_values(&keys, &values[..len], count, &[]).map_err(|_| "values are whole")?;
        if file.is_large() {
            file.flush()?;
        }
    }
    file.close()?;
    let seconds = began.elapsed().as_secs_f64();

    writeln!(std::io::stdout(), "{} {seconds}", fs::metadata(path)?.len())?;
    Ok(())
}

/// Rows of numbers that do not repeat.
fn values(width: u16) -> Vec<Vec<u8>> {
    let mut state = 1_u64;
    let mut number = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut row = |out: &mut Vec<u8>| {
        out.push(0xdc);
        out.extend(width.to_be_bytes());
        for _ in 0..width {
            out.push(0xcb);
            out.extend(number().to_be_bytes());
        }
    };
    let mut batch = || {
        let mut out = Vec::new();
        (0..BATCH).for_each(|_| row(&mut out));
        out
    };
    (0..DISTINCT).map(|_| batch()).collect()
}

/// `[20200000 + a day, "a stock"]`.
fn put_key(row: u32, out: &mut Vec<u8>) {
    out.extend([0x92, 0xce]);
    out.extend((20_200_000 + row / STOCKS).to_be_bytes());
    out.push(0xa6);
    write!(out, "{:06}", row % STOCKS).expect("memory");
}
