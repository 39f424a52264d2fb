//! A manifest's text, or that of a file of gadgets, as a tree of nodes that know their place, and from there into types.
//!
//! A plain subset of YAML 1.2: one document of mappings, lists and scalars. Anchors, aliases, tags and merge keys
//! are refused, so that a small text can't become a large tree; nesting is bounded by the parser.

use super::MAX_MANIFEST_BYTES;
use super::error::ManifestError;
use super::names::{did_you_mean, one_of};
use super::place::{Place, Places};
use granit_parser::{Event, Parser, ScalarStyle, Span};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// What a document is, in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document {
    /// What it is called, with "a" before it.
    pub noun: &'static str,
    /// What it has at least.
    pub needs: &'static str,
}

/// `gadget.yaml`.
pub(super) const MANIFEST: Document = Document {
    noun: "manifest",
    needs: "`name`, `version` and `tables`",
};

/// How deep lists and mappings may nest; the manifest itself needs six levels.
const MAX_DEPTH: usize = 32;

/// The most items of one list, and keys of one mapping: what checks them may compare each with each.
const MAX_ITEMS: usize = 1024;
/// The most values in a document, lists, mappings and keys counted too.
const MAX_NODES: usize = 65_536;

/// A value and where it begins.
#[derive(Debug)]
pub(crate) struct Node {
    place: Place,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

#[derive(Debug)]
struct Key {
    place: Place,
    text: String,
}

/// What a plain scalar stands for by YAML's core schema.
enum Plain {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text,
}

fn place_of(span: &Span) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

/// Reads one document.
pub(crate) fn read(document: Document, file: &str, text: &str) -> Result<Node, ManifestError> {
    if text.len() > MAX_MANIFEST_BYTES {
        return Err(ManifestError::one(
            file,
            None,
            format!(
                "{} bytes is too long for a {}: at most {MAX_MANIFEST_BYTES}",
                text.len(),
                document.noun
            ),
        ));
    }
    let mut reader = Reader {
        noun: document.noun,
        file,
        parser: Parser::new_from_str(text),
        nodes: 0,
    };
    match reader.document()? {
        Some(node) => Ok(node),
        None => reader.error(
            None,
            format!("empty: a {} has at least {}", document.noun, document.needs),
        ),
    }
}

struct Reader<'a> {
    noun: &'static str,
    file: &'a str,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn error<T>(
        &self,
        place: Option<Place>,
        message: impl Into<String>,
    ) -> Result<T, ManifestError> {
        Err(ManifestError::one(self.file, place, message))
    }

    fn next(&mut self) -> Result<(Event<'a>, Place), ManifestError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, place_of(&span))),
            Some(Err(error)) => {
                let place = Place {
                    line: error.marker().line(),
                    column: error.marker().col() + 1,
                };
                let info = error.info();
                // The usual way to get there: a type such as `struct<a: u8>` without quotes.
                let hint = if info.starts_with("mapping values are not allowed") {
                    ": a text that holds `: ` needs quotes"
                } else {
                    ""
                };
                self.error(Some(place), format!("not YAML: {info}{hint}"))
            }
            None => self.error(None, "the text ends too early"),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, ManifestError> {
        let mut root = None;
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::DocumentStart(..) => {
                    if root.is_some() {
                        return self.error(
                            Some(place),
                            format!(
                                "a second document begins here: a {} is one document",
                                self.noun
                            ),
                        );
                    }
                }
                event => root = Some(self.node(event, place, 0)?),
            }
        }
        Ok(root)
    }

    fn node(
        &mut self,
        event: Event<'a>,
        place: Place,
        depth: usize,
    ) -> Result<Node, ManifestError> {
        if depth > MAX_DEPTH {
            return self.error(
                Some(place),
                format!("nested too deeply for a {}", self.noun),
            );
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return self.error(
                Some(place),
                format!(
                    "more than {MAX_NODES} values are too many for a {}",
                    self.noun
                ),
            );
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_only(place, anchor, tag.is_some())?;
                let plain = matches!(style, ScalarStyle::Plain);
                Ok(Node {
                    place,
                    value: Value::Scalar {
                        text: text.into_owned(),
                        plain,
                    },
                })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.plain_only(place, anchor, tag.is_some())?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => {
                            return Ok(Node {
                                place,
                                value: Value::List(items),
                            });
                        }
                        (_, place) if items.len() >= MAX_ITEMS => {
                            return self.too_long(place);
                        }
                        (event, place) => items.push(self.node(event, place, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(_, anchor, tag) => {
                self.plain_only(place, anchor, tag.is_some())?;
                self.mapping(place, depth)
            }
            Event::Alias(_) => self.error(
                Some(place),
                format!(
                    "aliases (`*name`) are not allowed in a {}: write the value out",
                    self.noun
                ),
            ),
            _ => self.error(Some(place), "a value is missing here"),
        }
    }

    fn mapping(&mut self, place: Place, depth: usize) -> Result<Node, ManifestError> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, key_place) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                // A block mapping begins where its first key does; an empty one where its brace stands.
                let place = entries.first().map_or(place, |(key, _)| key.place);
                return Ok(Node {
                    place,
                    value: Value::Mapping(entries),
                });
            }
            if entries.len() >= MAX_ITEMS {
                return self.too_long(key_place);
            }
            let Value::Scalar { text, .. } = self.node(event, key_place, depth + 1)?.value else {
                return self.error(
                    Some(key_place),
                    "a key must be a word, not a list or a mapping",
                );
            };
            if text == "<<" {
                return self.error(
                    Some(key_place),
                    format!(
                        "merge keys (`<<`) are not allowed in a {}: write the keys out",
                        self.noun
                    ),
                );
            }
            if let Some((first, _)) = entries.iter().find(|(key, _)| key.text == text) {
                let message = format!(
                    "`{}` stands here a second time: the first is in line {}",
                    shortened(&text),
                    first.place.line
                );
                return self.error(Some(key_place), message);
            }
            let (event, value_place) = self.next()?;
            let value = self.node(event, value_place, depth + 1)?;
            entries.push((
                Key {
                    place: key_place,
                    text,
                },
                value,
            ));
        }
    }

    fn too_long<T>(&self, place: Place) -> Result<T, ManifestError> {
        let message = format!(
            "more than {MAX_ITEMS} of them are too many for a {}",
            self.noun
        );
        self.error(Some(place), message)
    }

    fn plain_only(&self, place: Place, anchor: usize, tagged: bool) -> Result<(), ManifestError> {
        if anchor != 0 {
            return self.error(
                Some(place),
                format!(
                    "anchors (`&name`) are not allowed in a {}: write the value out",
                    self.noun
                ),
            );
        }
        if tagged {
            // A filter such as `!failed`, for example.
            let message = format!(
                "tags (`!name`) are not allowed in a {}: a text that begins with `!` needs quotes",
                self.noun
            );
            return self.error(Some(place), message);
        }
        Ok(())
    }
}

impl Node {
    /// The places of this node and of all below it, by path.
    pub(crate) fn places(&self, file: &str) -> Places {
        let mut places = Places {
            file: file.to_owned(),
            by_path: Default::default(),
        };
        self.collect(&mut String::new(), &mut places);
        places
    }

    fn collect(&self, path: &mut String, places: &mut Places) {
        places.by_path.insert(path.clone(), self.place);
        let length = path.len();
        let mut step = |name: &str, node: &Self| {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
            node.collect(path, places);
            path.truncate(length);
        };
        match &self.value {
            Value::Scalar { .. } => {}
            Value::List(items) => items
                .iter()
                .enumerate()
                .for_each(|(i, node)| step(&i.to_string(), node)),
            Value::Mapping(entries) => entries.iter().for_each(|(key, node)| step(&key.text, node)),
        }
    }

    /// What stands here, in words.
    fn found(&self) -> String {
        match &self.value {
            Value::Scalar { text, plain: true } => match plain(text) {
                Plain::Null => "nothing".to_owned(),
                _ => format!("`{}`", shortened(text)),
            },
            Value::Scalar { text, plain: false } => format!("the text \"{}\"", shortened(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Mapping(_) => "keys and values".to_owned(),
        }
    }

    fn wrong<T>(&self, expected: &str) -> Result<T, DecodeError> {
        let message = if matches!(&self.value, Value::Scalar { text, plain: true } if matches!(plain(text), Plain::Null))
        {
            format!("a value is missing here: expected {expected}")
        } else {
            format!("expected {expected}, found {}", self.found())
        };
        Err(DecodeError {
            place: Some(self.place),
            message,
        })
    }

    fn integer<T: std::str::FromStr>(&self, expected: &str) -> Result<T, DecodeError> {
        if let Value::Scalar { text, plain: true } = &self.value
            && let Ok(value) = text.parse()
        {
            return Ok(value);
        }
        self.wrong(expected)
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push_str("...");
    }
    short
}

/// Resolves a plain scalar by YAML 1.2's core schema.
fn plain(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |prefix, radix| {
        text.strip_prefix(prefix)
            .filter(|rest| !rest.starts_with('+'))
            .and_then(|rest: &str| u64::from_str_radix(rest, radix).ok())
    };
    if let Some(value) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Plain::Unsigned(value);
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Plain::Text;
    }
    if let Ok(value) = text.parse() {
        return Plain::Signed(value);
    }
    if let Ok(value) = text.parse() {
        return Plain::Unsigned(value);
    }
    let float = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse() {
        Ok(value) if float => Plain::Float(value),
        _ => Plain::Text,
    }
}

/// Why a node does not fit its type.
#[derive(Debug)]
pub(crate) struct DecodeError {
    place: Option<Place>,
    message: String,
}

impl DecodeError {
    fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            place: None,
            message: message.to_string(),
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!(
            "unknown key `{}`{}",
            shortened(field),
            did_you_mean(field, expected, "known here are")
        ))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(one_of(variant, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("the key `{field}` is missing here"))
    }
}

/// Decodes a node into a type.
pub(crate) fn decode<T: de::DeserializeOwned>(file: &str, node: &Node) -> Result<T, ManifestError> {
    T::deserialize(node).map_err(|error| {
        ManifestError::one(file, Some(error.place.unwrap_or(node.place)), error.message)
    })
}

macro_rules! integers {
    ($($method:ident $visit:ident $ty:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let value: $ty = self.integer(&format!("a whole number from {} to {}", <$ty>::MIN, <$ty>::MAX))?;
            visitor.$visit::<DecodeError>(value).map_err(|e| e.at(self.place))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Scalar { text, plain: false } => visitor.visit_str(text),
            Value::Scalar { text, plain: true } => match plain(text) {
                Plain::Null => visitor.visit_unit(),
                Plain::Bool(value) => visitor.visit_bool(value),
                Plain::Signed(value) => visitor.visit_i64(value),
                Plain::Unsigned(value) => visitor.visit_u64(value),
                Plain::Float(value) => visitor.visit_f64(value),
                Plain::Text => visitor.visit_str(text),
            },
            Value::List(_) => return self.deserialize_seq(visitor),
            Value::Mapping(_) => return self.deserialize_map(visitor),
        }
        .map_err(|e: DecodeError| e.at(self.place))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Scalar { text, plain: true } => match plain(text) {
                Plain::Bool(value) => visitor
                    .visit_bool::<DecodeError>(value)
                    .map_err(|e| e.at(self.place)),
                _ => self.wrong("true or false"),
            },
            _ => self.wrong("true or false"),
        }
    }

    integers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Scalar {
                text,
                plain: is_plain,
            } => {
                if *is_plain {
                    match plain(text) {
                        Plain::Text => {}
                        Plain::Null => return self.wrong("text"),
                        _ => {
                            let message = format!(
                                "expected text, found `{0}`: put it in quotes, \"{0}\"",
                                shortened(text)
                            );
                            return Err(DecodeError {
                                place: Some(self.place),
                                message,
                            });
                        }
                    }
                }
                visitor
                    .visit_str::<DecodeError>(text)
                    .map_err(|e| e.at(self.place))
            }
            _ => self.wrong("text"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::List(items) => visitor
                .visit_seq(Items(items.iter()))
                .map_err(|e| e.at(self.place)),
            _ => self.wrong("a list"),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Mapping(entries) => visitor
                .visit_map(Entries {
                    entries: entries.iter(),
                    value: None,
                })
                .map_err(|e| e.at(self.place)),
            _ => self.wrong("keys and values"),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match (&self.value, fields.first()) {
            (Value::Mapping(_), _) | (_, None) => self.deserialize_map(visitor),
            (_, Some(first)) => self.wrong(&format!("keys and values, as in `{first}: ...`")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Scalar {
                text,
                plain: is_plain,
            } if !is_plain || !matches!(plain(text), Plain::Null) => visitor
                .visit_enum(IntoDeserializer::<DecodeError>::into_deserializer(
                    text.as_str(),
                ))
                .map_err(|e: DecodeError| e.at(self.place)),
            _ => self.wrong(&format!("one of {}", variants.join(", "))),
        }
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        self.0
            .next()
            .map(|node| seed.deserialize(node).map_err(|e| e.at(node.place)))
            .transpose()
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, (Key, Node)>,
    value: Option<&'de Node>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        let text: StrDeserializer<'_, DecodeError> = key.text.as_str().into_deserializer();
        seed.deserialize(text)
            .map(Some)
            .map_err(|e| e.at(key.place))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        match self.value.take() {
            Some(node) => seed.deserialize(node).map_err(|e| e.at(node.place)),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}
