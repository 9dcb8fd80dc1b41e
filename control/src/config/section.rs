//! Takes values out of the layers, key by key, and finds what nobody took.

use std::ops::RangeInclusive;

use strsim::damerau_levenshtein;

use crate::config::{
    ConfigErrors, Origin, Problem,
    input::Input,
    layers::{self, Layers},
    print::Entry,
    setting::{Setting, Wrong},
};

/// Reads all sections.
pub(crate) struct Reader {
    layers: Layers,
    problems: Vec<Problem>,
    entries: Vec<Entry>,
}

/// Reads one section; each key that is asked for becomes a known one.
pub(crate) struct Section<'a> {
    reader: &'a mut Reader,
    name: &'static str,
}

impl Reader {
    pub(crate) fn new(layers: Layers, problems: Vec<Problem>) -> Self {
        Self { layers, problems, entries: Vec::new() }
    }

    pub(crate) fn section(&mut self, name: &'static str) -> Section<'_> {
        Section { reader: self, name }
    }

    /// Returns the keys in effect; what is left in the layers is unknown.
    pub(crate) fn finish(mut self) -> Result<Vec<Entry>, ConfigErrors> {
        for (key, (input, origin)) in std::mem::take(&mut self.layers.0) {
            let is_section = self.entries.iter().any(|entry| entry.section == key);
            if is_section && input == Input::Other("a table") {
                continue;
            }
            let (wrong, remedy) = self.unknown(&key, is_section, &origin);
            self.problems.push(Problem { origin, key: Some(key), wrong, remedy });
        }
        match self.problems.is_empty() {
            true => Ok(self.entries),
            false => Err(ConfigErrors(self.problems)),
        }
    }

    /// Says what is wrong with an unknown key, and which one was probably meant.
    fn unknown(&self, key: &str, is_section: bool, origin: &Origin) -> (String, String) {
        if is_section {
            return (
                "is a section, not a key".to_owned(),
                format!("write the heading [{key}] and its keys below it"),
            );
        }
        let written = |known: &str| match origin {
            Origin::Variable(_) => layers::variable(known),
            _ => known.to_owned(),
        };
        let known = self.entries.iter().map(|entry| format!("{}.{}", entry.section, entry.key));
        let nearest = known.min_by_key(|known| distance(key, known));
        let remedy = match nearest {
            Some(known) if distance(key, &known) <= DISTANCE_MAX => {
                format!("did you mean {}?", written(&known))
            }
            _ => self.choice(key),
        };
        ("is not a known key".to_owned(), remedy)
    }

    /// Lists the keys of the section, or the sections if that is unknown too.
    fn choice(&self, key: &str) -> String {
        let section = key.split('.').next().unwrap_or_default();
        let entries = self.entries.iter().filter(|entry| entry.section == section);
        let keys: Vec<_> = entries.map(|entry| entry.key).collect();
        if !keys.is_empty() {
            return format!("the keys of [{section}] are {}", keys.join(", "));
        }
        let mut sections: Vec<_> = self.entries.iter().map(|entry| entry.section).collect();
        sections.dedup();
        format!("the sections are {}", sections.join(", "))
    }
}

impl Section<'_> {
    /// Returns the value of `key`, or `default` if nobody set it or it is wrong.
    pub(crate) fn value<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        let value = self.take(key, T::read);
        let value = value.unwrap_or(default);
        self.show(key, Some(value.to_toml()));
        value
    }

    /// Returns the value of `key` if somebody set it.
    pub(crate) fn optional<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let value = self.take(key, T::read);
        self.show(key, value.as_ref().map(T::to_toml));
        value
    }

    /// Returns a whole number within `range`.
    pub(crate) fn number<N>(&mut self, key: &'static str, default: N, range: RangeInclusive<N>) -> N
    where
        N: Copy + TryFrom<u64> + Into<u64>,
    {
        let (min, max): (u64, u64) = ((*range.start()).into(), (*range.end()).into());
        let value = self.take(key, |input| {
            let number = u64::read(input)?;
            let narrow = N::try_from(number).ok().filter(|_| (min..=max).contains(&number));
            narrow.ok_or_else(|| {
                let wrong = format!("is {number}, which is out of range");
                Wrong::new(wrong, format!("write a number from {min} to {max}"))
            })
        });
        let value = value.unwrap_or(default);
        self.show(key, Some(value.into().to_string()));
        value
    }

    /// Reports that a value, though well-formed, does not fit the others.
    pub(crate) fn reject(&mut self, key: &'static str, wrong: String, remedy: &str) {
        let mut entries = self.reader.entries.iter();
        let entry = entries.find(|entry| entry.section == self.name && entry.key == key);
        let origin = entry.map_or(Origin::Default, |entry| entry.origin.clone());
        self.fail(key, origin, Wrong::new(wrong, remedy));
    }

    fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Input) -> Result<T, Wrong>,
    ) -> Option<T> {
        let found = self.reader.layers.0.remove(&format!("{}.{key}", self.name));
        let (value, origin) = match found {
            None => (None, Origin::Default),
            Some((input, origin)) => match read(&input) {
                Ok(value) => (Some(value), origin),
                Err(wrong) => {
                    self.fail(key, origin.clone(), wrong);
                    (None, origin)
                }
            },
        };
        self.reader.entries.push(Entry { section: self.name, key, value: None, origin });
        value
    }

    /// Notes how the value just taken is printed.
    fn show(&mut self, key: &'static str, value: Option<String>) {
        let entry = self.reader.entries.last_mut().filter(|entry| entry.key == key);
        entry.expect("take() was just called for this key").value = value;
    }

    fn fail(&mut self, key: &'static str, origin: Origin, wrong: Wrong) {
        let Wrong { wrong, remedy } = wrong;
        let key = Some(format!("{}.{key}", self.name));
        self.reader.problems.push(Problem { origin, key, wrong, remedy });
    }
}

/// Returns how far `key` is from `known`; the right key in the wrong section is near.
fn distance(key: &str, known: &str) -> usize {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let elsewhere = if last(key) == last(known) { 1 } else { usize::MAX };
    damerau_levenshtein(key, known).min(elsewhere)
}

/// Changed characters up to which a known key counts as meant; chosen because more is guessing.
const DISTANCE_MAX: usize = 4;
