//! One record of a backup: its form in each version, and whether its bytes have that form.

/// The versions that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Float64, codes of up to 32 bytes; a checksum that its own readers never look at, and of which no rule is known.
    Two,
    /// Float32, codes of up to 16 bytes.
    Three,
    /// The records of version 3 in compressed chunks.
    Four,
}

impl Version {
    pub(super) fn of(number: u32) -> Option<Version> {
        match number {
            2 => Some(Version::Two),
            3 => Some(Version::Three),
            4 => Some(Version::Four),
            _ => None,
        }
    }
}

/// What the records of a file look like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub version: Version,
    pub factors: u32,
}

/// A record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The date, as a number.
    pub date: i64,
    /// The code.
    pub code: &'a str,
    numbers: &'a [u8],
    is_narrow: bool,
}

impl Record<'_> {
    /// The factors; those of version 3 and 4 widened.
    pub fn factors(&self) -> impl Iterator<Item = f64> {
        let size = if self.is_narrow { 4 } else { 8 };
        self.numbers.chunks_exact(size).map(|bytes| match bytes.try_into() {
            Ok(narrow) => f64::from(f32::from_le_bytes(narrow)),
            Err(_) => f64::from_le_bytes(bytes.try_into().expect("four bytes or eight")),
        })
    }
}

impl Form {
    pub(super) fn is_narrow(&self) -> bool {
        match self.version {
            Version::Two => false,
            Version::Three | Version::Four => true,
        }
    }

    pub(super) fn record_len(&self) -> u64 {
        let (head, size) = if self.is_narrow() { (32, 4) } else { (64, 8) };
        head + size * u64::from(self.factors) + 4
    }

    /// Reads a record, or says what is wrong with it.
    pub(super) fn read<'a>(&self, bytes: &'a [u8]) -> Result<Record<'a>, &'static str> {
        if bytes.len() as u64 != self.record_len() {
            return Err("the file ends within it");
        }
        let date = i64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        let end = bytes.len() - 4;
        let (code, numbers) = if self.is_narrow() {
            if !sum_is_right(bytes) {
                return Err("its checksum is wrong");
            }
            let code = &bytes[8..24];
            let len = code.iter().position(|&byte| byte == 0).unwrap_or(code.len());
            (&code[..len], &bytes[32..end])
        } else {
            let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
            if number(24) != self.factors {
                return Err("it tells another number of factors than the header");
            }
            (bytes[32..64].get(..number(28) as usize).ok_or("its code is too long")?, &bytes[64..end])
        };
        match std::str::from_utf8(code) {
            Ok("") => Err("it has no code"),
            Ok(code) => Ok(Record { date, code, numbers, is_narrow: self.is_narrow() }),
            Err(_) => Err("its code is no text"),
        }
    }
}

/// The checksum of versions 3 and 4: a sum of the date and the time (as two numbers of four bytes each), of the code's
/// bytes, and of the factors' bits.
fn sum_is_right(bytes: &[u8]) -> bool {
    let words = |bytes: &[u8]| {
        let (words, _) = bytes.as_chunks::<4>();
        words.iter().fold(0u32, |sum, word| sum.wrapping_add(u32::from_le_bytes(*word)))
    };
    let end = bytes.len() - 4;
    let code = bytes[8..24].iter().fold(0u32, |sum, &byte| sum.wrapping_add(byte.into()));
    let sum = [words(&bytes[..8]), code, words(&bytes[24..32]), words(&bytes[32..end])];
    sum.into_iter().fold(0u32, u32::wrapping_add) == words(&bytes[end..])
}
