//! What clap has to say, in our manner: help and version on standard output, anything else as one line.

use clap::{Parser, error::ErrorKind};

use super::Cli;

/// Why there is no command line to carry out.
#[derive(Debug, PartialEq, Eq)]
pub enum Instead {
    /// Help or the version was asked for: print this and end well.
    Answer(String),
    /// It is wrong: show this and end with exit code 2.
    Mistake(String),
}

/// The arguments of this process, or what to say instead.
pub fn parse<I, T>(args: I) -> Result<Cli, Instead>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    Cli::try_parse_from(args).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Instead::Answer(error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Instead::Mistake(format!("expected a verb\n\n{}", error.render().to_string().trim_end()))
        }
        _ => Instead::Mistake(one_line(&error.render().to_string())),
    })
}

/// Clap's paragraphs (the mistake, perhaps a tip, the usage, where to find help) as one line: mistake, tip, help.
fn one_line(rendered: &str) -> String {
    let join = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = String::new();
    let mut help = String::new();
    for paragraph in rendered.split("\n\n").map(str::trim) {
        if let Some(mistake) = paragraph.strip_prefix("error:") {
            line.push_str(&join(mistake));
        } else if paragraph.starts_with("tip:") {
            let tips = paragraph.lines().filter_map(|tip| tip.trim().strip_prefix("tip:"));
            line.push_str(&format!(" ({})", tips.map(join).collect::<Vec<_>>().join("; ")));
        } else if let Some(usage) = paragraph.strip_prefix("Usage: ") {
            let verbs = usage.split_whitespace().take_while(|word| word.starts_with(char::is_lowercase));
            help = verbs.collect::<Vec<_>>().join(" ");
        }
    }
    format!("{line}; see '{} --help'", if help.is_empty() { "maniple" } else { &help })
}
