//! Reads the TOML file into keys with their lines.

use std::{
    fs, io,
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use crate::config::{Origin, Problem, Sources, input::Input};

/// A key of the file, such as `node.listen`, with its line and value.
pub(crate) struct FileKey {
    pub key: String,
    pub origin: Origin,
    pub input: Input,
}

/// Returns the keys of the file that is in effect; none if there is no file.
pub(crate) fn read(sources: &Sources, problems: &mut Vec<Problem>) -> Vec<FileKey> {
    let Some((path, named_by)) = chosen(sources) else { return Vec::new() };
    let text = match read_text(&sources.working_dir.join(&path)) {
        Ok(text) => text,
        Err(error) => {
            let (wrong, remedy) = (
                format!("cannot be read{named_by}: {error}"),
                "name a text file that exists and that this user may read".to_owned(),
            );
            problems.push(Problem { origin: Origin::File(path), key: None, wrong, remedy });
            return Vec::new();
        }
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    // What follows a syntax error may be read wrongly, so the file's values are not looked at.
    if !errors.is_empty() {
        problems.extend(errors.iter().map(|error| syntax_problem(&path, &text, error)));
        return Vec::new();
    }
    flatten(&path, &text, table.get_ref())
}

/// Returns the file's path, and who named it if that is not plain.
fn chosen(sources: &Sources) -> Option<(PathBuf, &'static str)> {
    if let Some(file) = &sources.file {
        return Some((file.clone(), " (named by --config)"));
    }
    if let Some(file) = sources.variable(FILE_VARIABLE) {
        return Some((file.into(), " (named by SABHA_CONFIG)"));
    }
    let exists = sources.working_dir.join(FILE_DEFAULT).exists();
    exists.then(|| (FILE_DEFAULT.into(), ""))
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(io::Error::other(format!("it is longer than {FILE_LEN_MAX} bytes")));
    }
    Ok(text)
}

fn syntax_problem(path: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    Problem {
        origin: match error.span() {
            Some(span) => Origin::Line(path.to_owned(), line_of(text, &span)),
            None => Origin::File(path.to_owned()),
        },
        key: None,
        wrong: format!("this is not TOML: {message}"),
        remedy: "correct the line; keys are written as `name = value` below a [section]".to_owned(),
    }
}

fn flatten(path: &Path, text: &str, table: &DeTable<'_>) -> Vec<FileKey> {
    let key = |key: String, span: Range<usize>, value: &DeValue<'_>| FileKey {
        key,
        origin: Origin::Line(path.to_owned(), line_of(text, &span)),
        input: Input::from_toml(value),
    };
    let mut keys = Vec::new();
    for (name, value) in table {
        let DeValue::Table(section) = value.get_ref() else {
            keys.push(key(name.get_ref().to_string(), name.span(), value.get_ref()));
            continue;
        };
        if section.is_empty() {
            keys.push(key(name.get_ref().to_string(), name.span(), value.get_ref()));
        }
        for (inner, value) in section {
            let full = format!("{}.{}", name.get_ref(), inner.get_ref());
            keys.push(key(full, inner.span(), value.get_ref()));
        }
    }
    keys
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.as_bytes().get(..span.start).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// The file that is read if it is there and no other is named.
const FILE_DEFAULT: &str = "sabha.toml";
/// Names the file.
pub(crate) const FILE_VARIABLE: &str = "SABHA_CONFIG";
/// Longest file in bytes; one with every key has 2 KiB.
const FILE_LEN_MAX: u64 = 256 * 1024;
