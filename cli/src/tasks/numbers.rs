//! Which fields of a .csv file are numbers. Everything else is text, exactly as it stands.
//!
//! Integers: an optional minus, digits without a leading zero, within 64 bits signed. Floats: the same digits with a
//! fraction, an exponent or both. So `007`, `+5`, ` 5`, `.5`, `5.`, `nan`, `inf`, `1_000`, an integer beyond 64 bits
//! and a float beyond float64 are text.

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    Integer(i64),
    Float(f64),
    /// A number but for its leading zeros.
    Padded,
    Text,
}

/// Tells numbers from text.
pub(super) fn classify(field: &str) -> Field {
    let bytes = field.as_bytes();
    let digits_from = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let first = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits_from(first);
    if whole == 0 {
        return Field::Text;
    }
    let mut at = first + whole;
    let is_integer = at == bytes.len();
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits_from(at + 1);
        if fraction == 0 {
            return Field::Text;
        }
        at += 1 + fraction;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits_from(at + 1 + sign);
        if exponent == 0 {
            return Field::Text;
        }
        at += 1 + sign + exponent;
    }
    if at != bytes.len() {
        return Field::Text;
    }
    if whole > 1 && bytes[first] == b'0' {
        return Field::Padded;
    }
    if is_integer {
        return field.parse().map_or(Field::Text, Field::Integer);
    }
    match field.parse::<f64>() {
        Ok(value) if value.is_finite() => Field::Float(value),
        Ok(_) | Err(_) => Field::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, classify};

    #[test]
    fn numbers_are_told_from_text() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("7", 7),
            ("-12", -12),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(classify(text), Field::Integer(value), "{text}");
        }
        for (text, value) in [
            ("0.5", 0.5),
            ("-0.0", -0.0),
            ("1.50", 1.5),
            ("1e5", 1e5),
            ("2.5E-3", 2.5e-3),
            ("1e+2", 100.0),
            ("0.1", 0.1),
        ] {
            let Field::Float(float) = classify(text) else { panic!("{text} is a float") };
            assert_eq!(float.to_bits(), f64::to_bits(value), "{text}");
        }
        for text in ["007", "000001", "-01", "00", "00.5", "01e5"] {
            assert_eq!(classify(text), Field::Padded, "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "e",
            "+5",
            " 5",
            "5 ",
            ".5",
            "5.",
            "5.e1",
            "1e",
            "1e+",
            "1.2.3",
            "1e5x",
            "nan",
            "inf",
            "NaN",
            "-inf",
            "1_000",
            "1,000",
            "0x10",
            "--1",
            "9223372036854775808",
            "1e999",
            "\u{0661}",
        ] {
            assert_eq!(classify(text), Field::Text, "{text}");
        }
    }
}
