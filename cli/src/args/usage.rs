//! What clap has to say, in our manner: help and version on standard output, anything else as one line.

use std::ffi::OsString;

use clap::{CommandFactory, Parser, error::ErrorKind};

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
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Instead> {
    let args: Vec<OsString> = args.into_iter().collect();
    Cli::try_parse_from(&args).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Instead::Answer(error.render().to_string().trim_end().to_owned() + "\n")
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Instead::Mistake(format!("expected a verb\n\n{}", error.render().to_string().trim_end()))
        }
        _ => {
            let rendered = error.render().to_string();
            Instead::Mistake(format!("{}; see '{} --help'", one_line(&rendered), verb(&args)))
        }
    })
}

/// Clap's paragraphs (the mistake, perhaps tips, the usage) as one line: the mistake and the tips.
fn one_line(rendered: &str) -> String {
    let join = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut line = String::new();
    for paragraph in rendered.split("\n\n").map(str::trim) {
        if let Some(mistake) = paragraph.strip_prefix("error:") {
            line.push_str(&join(mistake));
        } else if paragraph.starts_with("tip:") {
            let tips = paragraph.lines().filter_map(|tip| tip.trim().strip_prefix("tip:"));
            line.push_str(&format!(" ({})", tips.map(join).collect::<Vec<_>>().join("; ")));
        }
    }
    line
}

/// The command whose help belongs to these arguments: `maniple` and as much of a verb as there is.
fn verb(args: &[OsString]) -> String {
    let top = Cli::command();
    let mut command = &top;
    let mut words = vec!["maniple"];
    for arg in args.iter().skip(1).filter_map(|arg| arg.to_str()) {
        if let Some(verb) = command.find_subcommand(arg) {
            words.push(verb.get_name());
            command = verb;
        }
    }
    words.join(" ")
}
