//! `maniple checkpoint verify`: every byte of a checkpoint and its journal is read and checked. It changes nothing.
//!
//! Memory: 16 bytes for each key that has a value.

use std::time::Instant;

use coordinator::checkpoint::Recorded;
use serde_json::{Value, json};
use shared::{
    checkpoint::{Depth, Kind, Part, Totals},
    msgpack,
    outcome::Bytes,
};

use super::{
    DAMAGED,
    files::Files,
    hashes::{Hashes, hash},
    lost::{self, Lost},
    meter::Meter,
    reading::Reading,
};
use crate::{args::checkpoint::Verify as Args, fault::Fault, keys, output, progress::count};

/// What was found.
struct Verdict {
    lost: Vec<Lost>,
    faults: Vec<String>,
    /// Keys with more than one value, one behind the other.
    repeated: Vec<u8>,
    totals: Totals,
    bytes: u64,
    tail: Option<[u64; 2]>,
}

/// `maniple checkpoint verify`.
pub fn run(args: &Args) -> Result<u8, Fault> {
    let began = Instant::now();
    let files = Files::open(&args.file)?;
    let verdict = judge(&files)?;
    let text = if args.json {
        format!("{}\n", verdict.json(&files))
    } else {
        verdict.text(&files, began.elapsed().as_secs_f64())
    };
    output::print(&text).map_err(Fault::of_output)?;
    Ok(if verdict.is_whole() { 0 } else { DAMAGED })
}

fn judge(files: &Files) -> Result<Verdict, Fault> {
    let heads = Reading::of(files)?;
    lost::is_one(&heads)?;
    let bytes = heads.bytes()?;
    let mut meter = Meter::new("verify", bytes);
    let mut hashes = Hashes::with_room(heads.found.totals().values.min(bytes));
    let main = heads.found.main.len;
    let reading = Reading::to(files, files.pair(), Depth::All, &mut |part, _, seen| {
        if let Kind::Values { .. } = seen.head.kind {
            hashes.add(seen.keys);
        }
        meter.at(seen.frame.end() + if part == Part::Journal { main } else { 0 });
    })?;
    let repeated = keys_of(&reading, &hashes.repeated())?;
    let tail = reading.found.main.tail().map(|tail| [tail.start, tail.end]);
    Ok(Verdict {
        lost: lost::all(&reading)?,
        faults: lost::faults(&reading),
        repeated,
        totals: reading.found.totals(),
        bytes,
        tail,
    })
}

/// The keys that have these hashes, each once.
fn keys_of(reading: &Reading<'_>, hashes: &[u128]) -> Result<Vec<u8>, Fault> {
    let (mut keys, mut left) = (Vec::new(), hashes.iter().collect::<std::collections::HashSet<_>>());
    if !left.is_empty() {
        reading.keys(Recorded::Values, &mut |some| {
            for key in msgpack::values(some).flatten() {
                if left.remove(&hash(key)) {
                    keys.extend_from_slice(key);
                }
            }
        })?;
    }
    Ok(keys)
}

impl Verdict {
    fn is_whole(&self) -> bool {
        self.lost.is_empty() && self.faults.is_empty() && self.repeated.is_empty()
    }

    fn text(&self, files: &Files, seconds: f64) -> String {
        let path = files.location();
        let Totals { values, failures, frames, .. } = self.totals;
        let (values, failures, frames) = (count(values), count(failures), count(frames));
        let speed = self.bytes as f64 / seconds.max(1e-9) / 1e9;
        let checked = format!(
            "values {values}, failures {failures}, frames {frames}; {} checked in {seconds:.1} s ({speed:.1} GB/s)",
            Bytes(self.bytes)
        );
        let tail = self.tail.map(|[start, end]| {
            format!(
                "; the last {} are a write that is under way or was interrupted: not counted",
                Bytes(end - start)
            )
        });
        if self.is_whole() {
            return format!("{path}: whole: {checked}{}\n", tail.unwrap_or_default());
        }
        let mut text = format!("{path}: damaged: {checked}{}\n", tail.unwrap_or_default());
        text.extend(self.faults.iter().map(|fault| format!("  {fault}\n")));
        text.extend(self.lost.iter().map(Lost::text));
        if !self.repeated.is_empty() {
            let repeated = msgpack::values(&self.repeated).count();
            text.push_str(&format!("  keys with more than one value: {repeated}\n"));
            text.push_str(&lost::listed(&self.repeated));
        }
        text.push_str("all else is whole: take it over with `maniple checkpoint repair`\n");
        text
    }

    fn json(&self, files: &Files) -> Value {
        json!({
            "file": files.location().to_string(),
            "whole": self.is_whole(),
            "values": self.totals.values,
            "failures": self.totals.failures,
            "frames": self.totals.frames,
            "bytes": self.bytes,
            "tail": self.tail,
            "faults": self.faults,
            "damages": self.lost.iter().map(Lost::json).collect::<Vec<_>>(),
            "repeated": msgpack::values(&self.repeated).flatten().map(keys::json).collect::<Vec<_>>(),
        })
    }
}
