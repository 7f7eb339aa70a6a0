//! A failure with the exit code that tells the truth about it.

/// Exit code: a mistake in usage or input.
pub const USAGE: u8 = 2;
/// Exit code: storage failed.
pub const STORAGE: u8 = 4;
/// Exit code: authentication or version.
pub const REFUSED: u8 = 5;
/// Exit code: a defect, or something nobody thought of.
pub const INTERNAL: u8 = 70;

/// One line for the user, and the exit code.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub code: u8,
    pub message: String,
}

impl Fault {
    pub fn usage(message: impl Into<String>) -> Fault {
        Fault { code: USAGE, message: message.into() }
    }

    /// Standard output could not be written, on a full disk for instance.
    pub fn of_output(error: std::io::Error) -> Fault {
        Fault::storage(format!("failed to write to standard output: {error}"))
    }

    pub fn storage(message: impl Into<String>) -> Fault {
        Fault { code: STORAGE, message: message.into() }
    }

    pub fn refused(message: impl Into<String>) -> Fault {
        Fault { code: REFUSED, message: message.into() }
    }

    /// An access file that is missing is a mistake of the command line; one that does not let us in is refused.
    pub fn of_access(error: shared::security::AccessError) -> Fault {
        if error.is_missing() { Fault::usage(error.to_string()) } else { Fault::refused(error.to_string()) }
    }

    pub fn internal(message: impl Into<String>) -> Fault {
        Fault { code: INTERNAL, message: message.into() }
    }
}
