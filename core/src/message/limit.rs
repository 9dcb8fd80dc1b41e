//! Bounded decoding of lists and texts: a length is refused before its items are kept.

use std::{collections::BTreeSet, fmt, marker::PhantomData, net::SocketAddr};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// Decodes a list of at most `MAX` items.
pub(crate) fn list<'de, const MAX: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(Bounded::<MAX, T>(PhantomData))
}

/// Decodes a list of at most `MAX` items into a set.
pub(crate) fn set<'de, const MAX: usize, D, T>(deserializer: D) -> Result<BTreeSet<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Ord,
{
    Ok(list::<MAX, D, T>(deserializer)?.into_iter().collect())
}

/// Decodes a text of at most `MAX` bytes without control characters.
pub(crate) fn text<'de, const MAX: usize, D>(deserializer: D) -> Result<String, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    if text.len() > MAX {
        return Err(D::Error::custom(format_args!("a text has {} bytes, over {MAX}", text.len())));
    }
    match text.chars().any(char::is_control) {
        true => Err(D::Error::custom("a text has control characters")),
        false => Ok(text),
    }
}

/// Decodes a list of at most `ADDRESSES_MAX` socket addresses, each as text.
pub(crate) fn addresses<'de, D>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error>
where
    D: Deserializer<'de>,
{
    let texts = list::<ADDRESSES_MAX, D, String>(deserializer)?;
    let parse = |text: String| {
        text.parse().map_err(|_| D::Error::custom("an address is not of the form ip:port"))
    };
    texts.into_iter().map(parse).collect()
}

/// Decodes a number from `MIN` to `MAX`.
pub(crate) fn within<'de, const MIN: u8, const MAX: u8, D>(deserializer: D) -> Result<u8, D::Error>
where
    D: Deserializer<'de>,
{
    let number = u8::deserialize(deserializer)?;
    match (MIN..=MAX).contains(&number) {
        true => Ok(number),
        false => Err(D::Error::custom(format_args!("{number} is not within {MIN} to {MAX}"))),
    }
}

/// Decodes a number from `MIN` to `MAX` that may be absent.
pub(crate) fn optional_within<'de, const MIN: u8, const MAX: u8, D>(
    deserializer: D,
) -> Result<Option<u8>, D::Error>
where
    D: Deserializer<'de>,
{
    within::<MIN, MAX, D>(deserializer).map(Some)
}

struct Bounded<const MAX: usize, T>(PhantomData<T>);

impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for Bounded<MAX, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let over = || A::Error::custom(format_args!("a list has more than {MAX} items"));
        if items.size_hint().is_some_and(|len| len > MAX) {
            return Err(over());
        }
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == MAX {
                return Err(over());
            }
            list.push(item);
        }
        Ok(list)
    }
}

/// Addresses of one node or shard: a few interfaces in both address families.
pub(crate) const ADDRESSES_MAX: usize = 8;
