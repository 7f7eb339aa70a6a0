//! Key-values that tasks and callers share. They live as long as the coordinator, and their memory is bounded.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    msgpack,
    wire::kv::{Answer, Pairs, Request},
};

/// Bytes of a key at most.
pub const KEY_LIMIT: usize = 1 << 10;

/// Bytes of a value at most.
pub const VALUE_LIMIT: usize = 4 << 20;

/// Bytes of all keys and values at most, so that they fit into one frame.
pub const TOTAL_LIMIT: usize = 32 << 20;

/// What an entry takes beside its bytes.
const ENTRY: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub struct KeyValues {
    values: BTreeMap<String, Bytes>,
    size: usize,
    /// Another coordinator has them.
    elsewhere: bool,
}

impl KeyValues {
    /// Does what is asked for.
    pub fn answer(&mut self, request: Request, payload: &[u8]) -> (Answer, Bytes) {
        if self.elsewhere && request != Request::Inherit {
            return (Answer::Elsewhere, Bytes::new());
        }
        match request {
            Request::Get(key) => match self.values.get(&key) {
                Some(value) => (Answer::Done, value.clone()),
                None => (Answer::Missing, Bytes::new()),
            },
            Request::Set(key) => answered(self.set(key, payload).map(|()| Bytes::new())),
            Request::Incr { key, by } => answered(self.incr(key, by)),
            Request::Delete(key) => match self.values.remove(&key) {
                Some(value) => {
                    self.size -= taken(&key, &value);
                    (Answer::Done, Bytes::new())
                }
                None => (Answer::Missing, Bytes::new()),
            },
            Request::All => (Answer::Done, self.pairs()),
            Request::Leave => {
                let pairs = self.pairs();
                *self = KeyValues { elsewhere: true, ..KeyValues::default() };
                (Answer::Done, pairs)
            }
            Request::Inherit => answered(self.inherit(payload)),
        }
    }

    fn pairs(&self) -> Bytes {
        packed(&self.values.iter().collect::<Vec<(&String, &Bytes)>>())
    }

    fn set(&mut self, key: String, value: &[u8]) -> Result<(), String> {
        if key.len() > KEY_LIMIT {
            return Err(format!("a key of {} bytes is too long: at most {KEY_LIMIT}", key.len()));
        }
        if value.len() > VALUE_LIMIT {
            let size = value.len();
            return Err(format!(
                "the value of {key:?} takes {size} bytes, which is too large: at most {VALUE_LIMIT}"
            ));
        }
        if msgpack::value_len(value).ok() != Some(value.len()) {
            return Err(format!("what {key:?} is given is not one value"));
        }
        let before = self.values.get(&key).map_or(0, |old| taken(&key, old));
        let size = self.size - before + taken(&key, value);
        if size > TOTAL_LIMIT {
            return Err(format!(
                "no room for the value of {key:?}: all key-values together would take {size} bytes, and may take \
                 {TOTAL_LIMIT}; delete some"
            ));
        }
        self.size = size;
        // A copy, or it would hold the memory of the whole read that brought it.
        self.values.insert(key, Bytes::copy_from_slice(value));
        Ok(())
    }

    fn incr(&mut self, key: String, by: i64) -> Result<Bytes, String> {
        let old = match self.values.get(&key) {
            Some(value) => rmp_serde::from_slice::<i64>(value).map_err(|_| {
                format!("the value of {key:?} is no integer of 64 bits, so nothing can be added")
            })?,
            None => 0,
        };
        let sum =
            old.checked_add(by).ok_or_else(|| format!("{old} + {by} is no integer of 64 bits any more"))?;
        let value = packed(&sum);
        self.set(key, &value)?;
        Ok(value)
    }

    fn inherit(&mut self, payload: &[u8]) -> Result<Bytes, String> {
        let pairs: Pairs = rmp_serde::from_slice(payload).map_err(|error| error.to_string())?;
        self.elsewhere = false;
        for (key, value) in pairs {
            if !self.values.contains_key(&key) {
                self.set(key, &value)?;
            }
        }
        Ok(Bytes::new())
    }
}

fn answered(done: Result<Bytes, String>) -> (Answer, Bytes) {
    match done {
        Ok(payload) => (Answer::Done, payload),
        Err(why) => (Answer::Refused(why), Bytes::new()),
    }
}

fn taken(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY
}

fn packed<T: serde::Serialize>(value: &T) -> Bytes {
    rmp_serde::to_vec(value).expect("memory takes all that is written").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(kv: &mut KeyValues, key: &str, value: &[u8]) -> Answer {
        kv.answer(Request::Set(key.into()), value).0
    }

    fn get(kv: &mut KeyValues, key: &str) -> Option<Bytes> {
        let (answer, value) = kv.answer(Request::Get(key.into()), b"");
        (answer == Answer::Done).then_some(value)
    }

    fn incr(kv: &mut KeyValues, key: &str, by: i64) -> Result<i64, String> {
        match kv.answer(Request::Incr { key: key.into(), by }, b"") {
            (Answer::Done, sum) => Ok(rmp_serde::from_slice(&sum).unwrap()),
            (Answer::Refused(why), _) => Err(why),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(answer: Answer, part: &str) {
        assert!(matches!(&answer, Answer::Refused(why) if why.contains(part)), "{answer:?}");
    }

    #[test]
    fn what_was_set_is_there_until_it_is_deleted() {
        let mut kv = KeyValues::default();
        assert_eq!(get(&mut kv, "a"), None);
        assert_eq!(set(&mut kv, "a", b"\x01"), Answer::Done);
        assert_eq!(set(&mut kv, "a", b"\xa1x"), Answer::Done);
        assert_eq!(get(&mut kv, "a").as_deref(), Some(&b"\xa1x"[..]));
        assert_eq!(kv.answer(Request::Delete("a".into()), b"").0, Answer::Done);
        assert_eq!(kv.answer(Request::Delete("a".into()), b"").0, Answer::Missing);
        assert_eq!(kv.size, 0);
    }

    #[test]
    fn integers_are_added_up() {
        let mut kv = KeyValues::default();
        assert_eq!(incr(&mut kv, "n", 5), Ok(5));
        assert_eq!(incr(&mut kv, "n", -7), Ok(-2));
        assert!(incr(&mut kv, "n", i64::MIN).unwrap_err().contains("no integer of 64 bits any more"));
        assert_eq!(incr(&mut kv, "n", 0), Ok(-2));
        for other in
            [&b"\xa1x"[..], b"\xc3", b"\xcb\x3f\xf0\0\0\0\0\0\0", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"]
        {
            assert_eq!(set(&mut kv, "n", other), Answer::Done);
            assert!(incr(&mut kv, "n", 1).unwrap_err().contains("is no integer of 64 bits"), "{other:?}");
        }
    }

    #[test]
    fn what_is_too_large_changes_nothing() {
        let mut kv = KeyValues::default();
        let value = |size: usize| {
            let length = u32::try_from(size - 5).unwrap().to_be_bytes();
            [&[0xc6][..], &length, &vec![0; size - 5]].concat()
        };
        refused(set(&mut kv, &"k".repeat(KEY_LIMIT + 1), b"\x01"), "too long: at most 1024");
        refused(set(&mut kv, "v", &value(VALUE_LIMIT + 1)), "too large: at most 4194304");
        refused(set(&mut kv, "v", b"\x01\x02"), "not one value");
        refused(set(&mut kv, "v", b""), "not one value");
        let large = value(VALUE_LIMIT);
        for number in 0..7 {
            assert_eq!(set(&mut kv, &number.to_string(), &large), Answer::Done);
        }
        refused(set(&mut kv, "7", &large), "may take 33554432; delete some");
        assert_eq!(get(&mut kv, "7"), None);
        assert_eq!(set(&mut kv, "3", &large), Answer::Done, "what is replaced makes room");
        assert_eq!(kv.size, kv.values.iter().map(|(key, value)| taken(key, value)).sum::<usize>());
    }

    #[test]
    fn an_heir_keeps_what_it_has() {
        let mut kv = KeyValues::default();
        set(&mut kv, "a", b"\x01");
        set(&mut kv, "b", b"\x02");
        let (answer, all) = kv.answer(Request::All, b"");
        assert_eq!(answer, Answer::Done);
        assert_eq!(kv.answer(Request::Leave, b""), (Answer::Done, all.clone()));
        assert_eq!(kv.size, 0);
        assert_eq!(kv.answer(Request::Get("a".into()), b"").0, Answer::Elsewhere);
        assert_eq!(set(&mut kv, "a", b"\x01"), Answer::Elsewhere);
        let mut heir = KeyValues::default();
        set(&mut heir, "b", b"\x03");
        assert_eq!(heir.answer(Request::Inherit, &all).0, Answer::Done);
        assert_eq!(get(&mut heir, "a").as_deref(), Some(&b"\x01"[..]));
        assert_eq!(get(&mut heir, "b").as_deref(), Some(&b"\x03"[..]));
        refused(heir.answer(Request::Inherit, b"\xff").0, "");
        assert_eq!(kv.answer(Request::Inherit, b"\x90").0, Answer::Done);
        assert_eq!(kv.answer(Request::Get("a".into()), b"").0, Answer::Missing, "it is here again");
    }
}
