//! The form of a [`Failure`] in the file: a map with fields by name, so that any version and any language reads it.
//!
//! It is kept apart from the wire's form: that one may change with a release, this one only with the format.

use serde::{Deserialize, Serialize};

use crate::{
    id::Attempt,
    outcome::{Cause, Failure},
};

#[derive(Serialize, Deserialize)]
struct Story {
    #[serde(flatten)]
    cause: CauseText,
    message: String,
    traceback: String,
    stdout: String,
    stderr: String,
    host: String,
    pid: u32,
    attempt: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
enum CauseText {
    Exception { r#type: String },
    ExitCode { code: i32, died: bool },
    Signal { signal: i32 },
    Timeout { limit_ms: u64 },
    OutOfMemory { limit: u64, peak: u64 },
    KilledForMemory { peak: u64 },
    NodeLost,
    NotExecuted,
    BadValue,
}

/// Appends a failure's story to `out`.
pub fn encode(failure: &Failure, out: &mut Vec<u8>) {
    let cause = match &failure.cause {
        Cause::Exception(name) => CauseText::Exception { r#type: name.clone() },
        Cause::ExitCode { code, died } => CauseText::ExitCode { code: *code, died: *died },
        Cause::Signal(signal) => CauseText::Signal { signal: *signal },
        Cause::Timeout(limit_ms) => CauseText::Timeout { limit_ms: *limit_ms },
        Cause::OutOfMemory(limit, peak) => CauseText::OutOfMemory { limit: *limit, peak: *peak },
        Cause::KilledForMemory(peak) => CauseText::KilledForMemory { peak: *peak },
        Cause::NodeLost => CauseText::NodeLost,
        Cause::NotExecuted => CauseText::NotExecuted,
        Cause::BadValue => CauseText::BadValue,
    };
    let story = Story {
        cause,
        message: failure.message.clone(),
        traceback: failure.traceback.clone(),
        stdout: failure.stdout.clone(),
        stderr: failure.stderr.clone(),
        host: failure.host.clone(),
        pid: failure.pid,
        attempt: failure.attempt.0,
    };
    let mut serializer = rmp_serde::Serializer::new(out).with_struct_map();
    story.serialize(&mut serializer).expect("a story has nothing that MessagePack cannot hold");
}

/// Reads a story; `None` if it is not one that this version knows.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Failure> {
    let Story { cause, message, traceback, stdout, stderr, host, pid, attempt } =
        rmp_serde::from_slice(bytes).ok()?;
    let cause = match cause {
        CauseText::Exception { r#type } => Cause::Exception(r#type),
        CauseText::ExitCode { code, died } => Cause::ExitCode { code, died },
        CauseText::Signal { signal } => Cause::Signal(signal),
        CauseText::Timeout { limit_ms } => Cause::Timeout(limit_ms),
        CauseText::OutOfMemory { limit, peak } => Cause::OutOfMemory(limit, peak),
        CauseText::KilledForMemory { peak } => Cause::KilledForMemory(peak),
        CauseText::NodeLost => Cause::NodeLost,
        CauseText::NotExecuted => Cause::NotExecuted,
        CauseText::BadValue => Cause::BadValue,
    };
    Some(Failure { cause, message, traceback, stdout, stderr, host, pid, attempt: Attempt(attempt) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_read_back() {
        let causes = [
            Cause::Exception("builtins.ValueError".into()),
            Cause::ExitCode { code: -7, died: true },
            Cause::Signal(11),
            Cause::Timeout(2_500),
            Cause::OutOfMemory(1 << 40, u64::MAX),
            Cause::KilledForMemory(1 << 40),
            Cause::NodeLost,
            Cause::NotExecuted,
            Cause::BadValue,
        ];
        for cause in causes {
            let failure = Failure {
                cause,
                message: "no ☂".into(),
                traceback: "Traceback\n".into(),
                stdout: String::new(),
                stderr: "x".repeat(70_000),
                host: "h1".into(),
                pid: u32::MAX,
                attempt: Attempt(3),
            };
            let mut bytes = Vec::new();
            encode(&failure, &mut bytes);
            assert_eq!(crate::msgpack::value_len(&bytes), Ok(bytes.len()));
            assert_eq!(decode(&bytes), Some(failure));
        }
    }

    #[test]
    fn a_later_field_is_passed_over_and_a_later_cause_is_not_guessed() {
        let text = |cause: &str| {
            let mut bytes = Vec::new();
            let story =
                [("cause", cause), ("message", ""), ("traceback", ""), ("stdout", ""), ("stderr", "")];
            rmp::encode::write_map_len(&mut bytes, 9).expect("memory");
            for (name, value) in story.into_iter().chain([("host", "h"), ("weather", "fair")]) {
                rmp::encode::write_str(&mut bytes, name).expect("memory");
                rmp::encode::write_str(&mut bytes, value).expect("memory");
            }
            for (name, value) in [("pid", 1), ("attempt", 1)] {
                rmp::encode::write_str(&mut bytes, name).expect("memory");
                rmp::encode::write_uint(&mut bytes, value).expect("memory");
            }
            bytes
        };
        assert_eq!(decode(&text("node-lost")).expect("a story").cause, Cause::NodeLost);
        assert_eq!(decode(&text("eclipse")), None);
    }
}
