//! Reads the records of an export: a JSON array, JSON Lines, the field `users` of an
//! object, or CSV with the names of the columns in its first line.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

use super::Record;
use crate::commands::import::portions::Stop;
use crate::json::Strict;

/// Where records are in JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Each object is a record, alone or in an array.
    Plain,
    /// In the array `users` of each object, which stands alone or in an array.
    InUsers,
}

/// Receives a record, and the number of bytes read since the record before.
type Take<'a> = &'a mut dyn FnMut(Record, u64) -> Result<(), Stop>;

/// Reads record by record. Returns whether there were records, or a place for them.
pub(super) fn read(reader: impl Read, layout: Layout, take: Take) -> Result<bool, Stop> {
    let read = Rc::new(Cell::new(0));
    let mut reader = BufReader::new(Counting {
        reader,
        read: Rc::clone(&read),
    });
    let first = first_byte(&mut reader).map_err(|error| broken(&error))?;
    let mut reported = 0;
    let mut take = |record| {
        let bytes = read.get() - reported;
        reported = read.get();
        take(record, bytes)
    };
    match first {
        None => Ok(false),
        Some(b'{' | b'[') => read_json(reader, layout, &mut take),
        Some(_) if layout == Layout::Plain => read_csv(reader, &mut take),
        Some(_) => Err(Stop::Broken("the file is not JSON".to_owned())),
    }
}

struct Counting<R> {
    reader: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(buffer)?;
        self.read.set(self.read.get() + bytes as u64);
        Ok(bytes)
    }
}

/// Returns the first byte that is not white space, after a byte order mark, which some
/// editors write.
fn first_byte(reader: &mut impl BufRead) -> io::Result<Option<u8>> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    if reader.fill_buf()?.starts_with(MARK) {
        reader.consume(MARK.len());
    }
    loop {
        match reader.fill_buf()?.first() {
            None => return Ok(None),
            Some(byte) if byte.is_ascii_whitespace() => reader.consume(1),
            Some(byte) => return Ok(Some(*byte)),
        }
    }
}

fn broken(error: &dyn fmt::Display) -> Stop {
    Stop::Broken(format!("the file cannot be read: {error}"))
}

/// Receives a record without the number of its bytes.
type TakeRecord<'a> = &'a mut dyn FnMut(Record) -> Result<(), Stop>;

fn read_json(reader: impl BufRead, layout: Layout, take: TakeRecord) -> Result<bool, Stop> {
    let mut input = serde_json::Deserializer::from_reader(reader);
    let mut state = State {
        layout,
        take,
        found: false,
        stop: None,
    };
    while input.end().is_err() {
        if let Err(error) = Top(&mut state).deserialize(&mut input) {
            return Err(state.stop.unwrap_or_else(|| broken(&error)));
        }
    }
    Ok(state.found)
}

struct State<'a> {
    layout: Layout,
    take: TakeRecord<'a>,
    /// Whether there were records, or a place for them.
    found: bool,
    /// Why reading was stopped, which an error of the parser cannot carry.
    stop: Option<Stop>,
}

impl State<'_> {
    fn take<E: serde::de::Error>(&mut self, record: Record) -> Result<(), E> {
        self.found = true;
        (self.take)(record).map_err(|stop| {
            self.stop = Some(stop);
            E::custom("stopped")
        })
    }
}

/// A value at the top of the file: an object, or an array of objects.
struct Top<'a, 'b>(&'a mut State<'b>);

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Item(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<(), A::Error> {
        Item(self.0).visit_map(fields)
    }
}

/// An object that is a record, or has records in it.
struct Item<'a, 'b>(&'a mut State<'b>);

impl<'de> DeserializeSeed<'de> for Item<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Item<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut record = Record::new();
        while let Some(name) = fields.next_key::<String>()? {
            match self.0.layout {
                Layout::InUsers if name == "users" => {
                    self.0.found = true;
                    fields.next_value_seed(Users(self.0))?;
                }
                Layout::InUsers => {
                    fields.next_value::<IgnoredAny>()?;
                }
                Layout::Plain => {
                    let Strict(value) = fields.next_value()?;
                    if record.insert(name, value).is_some() {
                        let problem = "an object has two fields with the same name";
                        return Err(A::Error::custom(problem));
                    }
                }
            }
        }
        match self.0.layout {
            Layout::InUsers => Ok(()),
            Layout::Plain => self.0.take(record),
        }
    }
}

/// The array `users`.
struct Users<'a, 'b>(&'a mut State<'b>);

impl<'de> DeserializeSeed<'de> for Users<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Users<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of users")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(Strict(value)) = items.next_element()? {
            let Value::Object(record) = value else {
                return Err(A::Error::custom("a user is not an object"));
            };
            self.0.take(record)?;
        }
        Ok(())
    }
}

fn read_csv(reader: impl Read, take: TakeRecord) -> Result<bool, Stop> {
    let mut rows = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(reader);
    let columns = rows.headers().map_err(|error| broken(&error))?.clone();
    for row in rows.records() {
        let row = row.map_err(|error| broken(&error))?;
        let fields = columns.iter().zip(&row).map(|(name, value)| {
            // Databases export an absent value in one of these forms.
            let value = match value {
                "" | "NULL" | "\\N" => Value::Null,
                value => Value::from(value),
            };
            (name.to_owned(), value)
        });
        take(fields.collect())?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn records(text: &str, layout: Layout) -> Result<(Vec<Value>, bool), String> {
        let mut records = Vec::new();
        let mut bytes = 0;
        let found = read(text.as_bytes(), layout, &mut |record, more| {
            bytes += more;
            records.push(Value::Object(record));
            Ok(())
        });
        match found {
            Ok(found) => Ok((records, found)),
            Err(Stop::Broken(reason)) => Err(reason),
            Err(Stop::Unwanted) => Err("unwanted".to_owned()),
        }
    }

    #[test]
    fn records_are_read_from_arrays_lines_and_tables() {
        let expected = vec![json!({"a": "1"}), json!({"a": "two, \"2\""})];
        for text in [
            r#"[{"a": "1"}, {"a": "two, \"2\""}]"#,
            "{\"a\": \"1\"}\n\n{\"a\": \"two, \\\"2\\\"\"}\n",
            "\u{feff} {\"a\": \"1\"}{\"a\": \"two, \\\"2\\\"\"}",
            "a\r\n1\r\n\"two, \"\"2\"\"\"\r\n",
        ] {
            assert_eq!(
                records(text, Layout::Plain),
                Ok((expected.clone(), true)),
                "{text}"
            );
        }
        for text in [
            r#"{"realm": "x", "users": [{"a": "1"}, {"a": "two, \"2\""}], "b": [{"users": 1}]}"#,
            r#"[{"users": [{"a": "1"}]}, {"c": 1}, {"users": [{"a": "two, \"2\""}]}]"#,
        ] {
            assert_eq!(
                records(text, Layout::InUsers),
                Ok((expected.clone(), true)),
                "{text}"
            );
        }
    }

    #[test]
    fn absent_values_of_a_database_are_null() {
        let (records, _) = records("a,b,c,d\n,NULL,\\N, x \n", Layout::Plain).unwrap();
        assert_eq!(
            records,
            [json!({"a": null, "b": null, "c": null, "d": "x"})]
        );
    }

    #[test]
    fn only_a_malformed_file_is_an_error_and_one_without_users_is_not() {
        for text in ["", " ", r#"{"realm": "x"}"#, "[]"] {
            assert_eq!(
                records(text, Layout::InUsers),
                Ok((Vec::new(), false)),
                "{text}"
            );
        }
        for (text, layout) in [
            (r#"{"users": [{"a": 1}"#, Layout::InUsers),
            (r#"{"users": {"a": 1}}"#, Layout::InUsers),
            (r#"{"users": [1]}"#, Layout::InUsers),
            ("a,b\n1,2", Layout::InUsers),
            (r#"[{"a": 1, "a": 2}]"#, Layout::Plain),
            (r#"[{"a": 1}, 2]"#, Layout::Plain),
            ("a,b\n1\n", Layout::Plain),
        ] {
            let error = records(text, layout).unwrap_err();
            assert!(error.starts_with("the file "), "{text}: {error}");
        }
    }
}
