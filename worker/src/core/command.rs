//! What a command task is made of: a key's fields laid into the template, and the value that its output becomes.
//!
//! Pure text work: it neither starts a program nor looks for it.

use std::fmt::Write as _;

use bytes::Bytes;
use rmp::{Marker, decode, encode};
use shared::{job::CommandSpec, msgpack};

/// What a process wrote to one stream: both ends, and how much between them is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// How many bytes between head and tail are gone.
    pub cut: u64,
    /// The last bytes.
    pub tail: Vec<u8>,
}

impl Captured {
    /// All that there is, with a line in the place of what is not.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        if self.cut > 0 {
            bytes.extend_from_slice(format!("\n[... {} bytes cut ...]\n", self.cut).as_bytes());
        }
        bytes.extend_from_slice(&self.tail);
        bytes
    }

    /// The end of it as text of at most so many bytes.
    #[must_use]
    pub fn end(&self, limit: usize) -> String {
        let bytes = self.bytes();
        let mut from = bytes.len().saturating_sub(limit);
        while from < bytes.len() && bytes[from] & 0xc0 == 0x80 {
            from += 1;
        }
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }
}

/// The value of a command that succeeded: a map of `stdout` and `stderr`, text where it is UTF-8 and bytes where not,
/// with `stdout_cut` and `stderr_cut` where bytes are missing.
#[must_use]
pub fn value(stdout: &Captured, stderr: &Captured) -> Bytes {
    let streams = [("stdout", stdout), ("stderr", stderr)];
    let cuts = streams.iter().filter(|(_, captured)| captured.cut > 0).count();
    let mut value = Vec::new();
    encode::write_map_len(&mut value, 2 + cuts as u32).expect("memory can be written");
    for (name, captured) in streams {
        encode::write_str(&mut value, name).expect("memory can be written");
        match String::from_utf8(captured.bytes()) {
            Ok(text) => encode::write_str(&mut value, &text).expect("memory can be written"),
            Err(binary) => encode::write_bin(&mut value, binary.as_bytes()).expect("memory can be written"),
        }
        if captured.cut > 0 {
            encode::write_str(&mut value, &format!("{name}_cut")).expect("memory can be written");
            encode::write_uint(&mut value, captured.cut).expect("memory can be written");
        }
    }
    Bytes::from(value)
}

/// A command line with places for fields, read once a job.
#[derive(Debug, Clone)]
pub struct Template {
    arguments: Vec<Vec<Part>>,
    names: Vec<String>,
    has_places: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    All,
    Numbered(usize),
    Named(String),
}

/// Why a key does not fit into a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no such field.
    #[error("the command has {{{0}}}, but the number of fields is {1}")]
    NoField(String, usize),
    /// There is no such column.
    #[error("the command has {{{0}}}, but the columns are {1}; braces with a space in them are left alone")]
    NoColumn(String, String),
    /// A field that cannot be written as an argument.
    #[error("field {0} of the task is neither text nor a number; a command cannot be given it")]
    NotText(usize),
    /// The key is damaged.
    #[error("the task's key is not MessagePack")]
    Malformed,
}

impl Template {
    /// Reads a command's arguments.
    #[must_use]
    pub fn new(spec: &CommandSpec) -> Template {
        let arguments: Vec<Vec<Part>> = spec.argv.iter().map(|text| parts(text, &spec.fields)).collect();
        let is_place = |part: &Part| !matches!(part, Part::Text(_));
        let has_places = arguments.iter().flatten().any(is_place);
        Template { arguments, names: spec.fields.clone(), has_places }
    }

    /// Whether tasks that all have so many fields can fill every place. Braces around what might be a name are taken
    /// for a place if the fields have names, unless it is one of a shell: `${HOME}`.
    pub fn check(spec: &CommandSpec, width: usize) -> Result<(), TemplateError> {
        let names = &spec.fields;
        for (before, inner) in spec.argv.iter().flat_map(|argument| braces(argument)) {
            let is_meant = !names.is_empty() && !before.ends_with('$');
            match place(inner, names) {
                Some(Part::Numbered(number)) if number > width => {
                    return Err(TemplateError::NoField(inner.to_owned(), width));
                }
                None if is_meant && inner == "0" => {
                    return Err(TemplateError::NoField(inner.to_owned(), width));
                }
                None if is_meant && is_name(inner) => {
                    return Err(TemplateError::NoColumn(inner.to_owned(), names.join(", ")));
                }
                Some(Part::Text(_) | Part::All | Part::Numbered(_) | Part::Named(_)) | None => {}
            }
        }
        Ok(())
    }

    /// Whether all tasks execute the same program.
    #[must_use]
    pub fn has_one_program(spec: &CommandSpec) -> bool {
        let is_text = |part: &Part| matches!(part, Part::Text(_));
        spec.argv.first().is_some_and(|program| parts(program, &spec.fields).iter().all(is_text))
    }

    /// Program and arguments for a task. Without a place in the template its fields become the last arguments.
    pub fn expand(&self, key: &[u8]) -> Result<Vec<Vec<u8>>, TemplateError> {
        let fields = fields(key)?;
        let mut argv = Vec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            match argument.as_slice() {
                [Part::All] => argv.extend(fields.iter().map(|(_, text)| text.clone())),
                parts => argv.push(self.fill(parts, &fields)?),
            }
        }
        if !self.has_places {
            argv.extend(fields.into_iter().map(|(_, text)| text));
        }
        Ok(argv)
    }

    fn fill(&self, parts: &[Part], fields: &[Field]) -> Result<Vec<u8>, TemplateError> {
        let mut text = Vec::new();
        for part in parts {
            match part {
                Part::Text(literal) => text.extend_from_slice(literal.as_bytes()),
                Part::All => {
                    text.extend(fields.iter().map(|(_, text)| &text[..]).collect::<Vec<_>>().join(&b' '))
                }
                Part::Numbered(number) => {
                    let missing = || TemplateError::NoField(number.to_string(), fields.len());
                    text.extend_from_slice(&fields.get(number - 1).ok_or_else(missing)?.1);
                }
                Part::Named(name) => text.extend_from_slice(self.named(name, fields)?),
            }
        }
        Ok(text)
    }

    fn named<'a>(&self, name: &str, fields: &'a [Field]) -> Result<&'a [u8], TemplateError> {
        let own = fields.iter().find(|(own, _)| own.as_deref() == Some(name));
        let place = || fields.get(self.names.iter().position(|known| known == name)?);
        let found =
            own.or_else(place).ok_or_else(|| TemplateError::NoField(name.to_owned(), fields.len()))?;
        Ok(&found.1)
    }
}

/// Finds the places in one argument. Braces around anything else are just text.
fn parts(argument: &str, names: &[String]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = argument;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let inner = &rest[open + 1..];
        let place = inner.find('}').and_then(|close| Some((place(&inner[..close], names)?, close)));
        match place {
            Some((place, close)) => {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(place);
                rest = &inner[close + 1..];
            }
            None => {
                text.push('{');
                rest = inner;
            }
        }
    }
    text.push_str(rest);
    if !text.is_empty() || parts.is_empty() {
        parts.push(Part::Text(text));
    }
    parts
}

/// All pairs of braces in an argument: what stands before, what stands within.
fn braces(argument: &str) -> impl Iterator<Item = (&str, &str)> {
    let pair = |at: usize| {
        let (before, rest) = argument.split_at(at);
        Some((before, rest[1..].split_once('}')?.0))
    };
    argument.match_indices('{').filter_map(move |(at, _)| pair(at))
}

/// Whether somebody may mean a column by this.
fn is_name(inner: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    inner.chars().all(is_part) && inner.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn place(inner: &str, names: &[String]) -> Option<Part> {
    if inner.is_empty() {
        return Some(Part::All);
    }
    if inner.bytes().all(|byte| byte.is_ascii_digit()) {
        return inner.parse().ok().filter(|number| *number > 0).map(Part::Numbered);
    }
    names.iter().any(|name| name == inner).then(|| Part::Named(inner.to_owned()))
}

/// A key for people, in one line.
#[must_use]
pub fn shown(key: &[u8]) -> String {
    let text = |(name, text): Field| {
        let text = String::from_utf8_lossy(&text).into_owned();
        name.map_or_else(|| text.clone(), |name| format!("{name}={text}"))
    };
    match fields(key) {
        Ok(fields) => fields.into_iter().map(text).collect::<Vec<_>>().join(", "),
        Err(_) => format!("{} bytes", key.len()),
    }
}

/// A field's own name, if the key is a map, and its text.
type Field = (Option<String>, Vec<u8>);

/// The fields of a key: of an array its elements, of a map its values, of anything else itself.
fn fields(key: &[u8]) -> Result<Vec<Field>, TemplateError> {
    let mut rest = key;
    let marker = rmp::decode::read_marker(&mut &key[..]).map_err(|_| TemplateError::Malformed)?;
    let (count, named) = match marker {
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => (decode::read_array_len(&mut rest), false),
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => (decode::read_map_len(&mut rest), true),
        _ => return Ok(vec![(None, text(key).ok_or(TemplateError::NotText(1))?)]),
    };
    let count = count.map_err(|_| TemplateError::Malformed)? as usize;
    let mut values = msgpack::values(rest).map(|value| value.map_err(|_| TemplateError::Malformed));
    let mut fields = Vec::new();
    for number in 1..=count {
        let mut next = || values.next().ok_or(TemplateError::Malformed)?;
        let name = if named { text(next()?) } else { None };
        let name = name.and_then(|name| String::from_utf8(name).ok());
        fields.push((name, text(next()?).ok_or(TemplateError::NotText(number))?));
    }
    Ok(fields)
}

/// A scalar as an argument.
fn text(value: &[u8]) -> Option<Vec<u8>> {
    let mut rest = value;
    let mut shown = String::new();
    match rmp::decode::read_marker(&mut &value[..]).ok()? {
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            decode::read_str_len(&mut rest).ok()?;
            return Some(rest.to_vec());
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            decode::read_bin_len(&mut rest).ok()?;
            return Some(rest.to_vec());
        }
        Marker::Null => {}
        Marker::True => shown.push_str("true"),
        Marker::False => shown.push_str("false"),
        Marker::F32 => write!(shown, "{:?}", decode::read_f32(&mut rest).ok()?).ok()?,
        Marker::F64 => write!(shown, "{:?}", decode::read_f64(&mut rest).ok()?).ok()?,
        Marker::U64 => write!(shown, "{}", decode::read_u64(&mut rest).ok()?).ok()?,
        _ => write!(shown, "{}", decode::read_int::<i64, _>(&mut rest).ok()?).ok()?,
    }
    Some(shown.into_bytes())
}

#[cfg(test)]
mod tests;
