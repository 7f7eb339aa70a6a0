//! Unix time as date and time of day in UTC, for names of files and for messages.

/// A moment in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year, month, day.
    pub date: (u64, u64, u64),
    /// Hour, minute, second.
    pub time: (u64, u64, u64),
}

impl Civil {
    /// The moment `unix_ms` milliseconds after 1970 began.
    #[must_use]
    pub fn from_unix_ms(unix_ms: u64) -> Civil {
        let seconds = unix_ms / 1000;
        let time = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        // The Gregorian calendar repeats every 400 years of 146,097 days; years are counted from March here, so that
        // the leap day is the last of its year. 719,468 days lie between 0000-03-01 and 1970-01-01.
        let days = seconds / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
        Civil { date: (era * 400 + year, month, day), time }
    }

    /// `2024-02-29T23:59:58Z`.
    #[must_use]
    pub fn iso(self) -> String {
        let ((year, month, day), (hour, minute, second)) = (self.date, self.time);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// `20240229-235958`.
    #[must_use]
    pub fn compact(self) -> String {
        let ((year, month, day), (hour, minute, second)) = (self.date, self.time);
        format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_what_date_prints() {
        let moments = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_251_198, "2024-02-29T23:59:58Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in moments {
            assert_eq!(Civil::from_unix_ms(seconds * 1000 + 999).iso(), text);
        }
        assert_eq!(Civil::from_unix_ms(1_709_251_198_000).compact(), "20240229-235958");
    }
}
