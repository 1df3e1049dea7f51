//! JSON as text, of which a part can be embedded without serialising it again.

use serde::Serialize;

use super::node::Node;

/// A value that can be written as JSON.
pub trait WriteJson {
    /// Appends the value to JSON text.
    fn write_json(&self, to: &mut Vec<u8>);
}

impl<T: Serialize + ?Sized> WriteJson for T {
    fn write_json(&self, to: &mut Vec<u8>) {
        super::write(self, to);
    }
}

/// The text of one JSON value, in which no object has two fields with the same name.
#[derive(Clone, Debug)]
pub struct JsonText(Vec<u8>);

impl JsonText {
    /// Serialises a value.
    pub fn of<T: WriteJson + ?Sized>(value: &T) -> JsonText {
        let mut text = Vec::with_capacity(256);
        value.write_json(&mut text);
        JsonText(text)
    }

    /// Serialises an object with the fields that `write` adds.
    pub fn object(write: impl FnOnce(ObjectWriter) -> ObjectWriter) -> JsonText {
        let mut text = Vec::with_capacity(256);
        write(ObjectWriter::new(&mut text)).end();
        JsonText(text)
    }

    /// Returns an array of values that have been serialised.
    pub fn array(items: &[JsonText]) -> JsonText {
        let items: Vec<&[u8]> = items.iter().map(|item| item.0.as_slice()).collect();
        JsonText([b"[", items.join(&b","[..]).as_slice(), b"]"].concat())
    }

    /// Returns the text.
    #[expect(clippy::expect_used, reason = "JSON is serialised as UTF-8")]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("JSON is UTF-8")
    }

    /// Returns the text as bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Parses the text.
    #[expect(
        clippy::expect_used,
        reason = "the text was serialised here, and no type of this crate has two fields \
            with the same name; the tests parse the output of every operation"
    )]
    pub fn node(&self) -> Node<'_> {
        super::parse(&self.0).expect("serialised JSON can be parsed")
    }
}

impl WriteJson for JsonText {
    fn write_json(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0);
    }
}

/// Writes an object field by field. Each name may be written only once.
pub struct ObjectWriter<'a> {
    to: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> ObjectWriter<'a> {
    /// Begins an object.
    pub fn new(to: &'a mut Vec<u8>) -> ObjectWriter<'a> {
        to.push(b'{');
        ObjectWriter { to, is_empty: true }
    }

    /// Adds a field.
    pub fn field<T: WriteJson + ?Sized>(mut self, name: &str, value: &T) -> ObjectWriter<'a> {
        if !self.is_empty {
            self.to.push(b',');
        }
        self.is_empty = false;
        name.write_json(self.to);
        self.to.push(b':');
        value.write_json(self.to);
        self
    }

    /// Ends the object.
    pub fn end(self) {
        self.to.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn embedded_text_is_read_as_the_value_that_it_was_made_of() {
        let value = json!({"b": [1, null, "\"\\\n"], "a": {}});
        let text = JsonText::of(&value);
        let object = JsonText::object(|object| {
            object
                .field("text", text.as_str())
                .field("\"quoted\"", &text)
        });
        let read: Value = serde_json::from_str(object.as_str()).unwrap();
        assert_eq!(read["\"quoted\""], value);
        let inner: Value = serde_json::from_str(read["text"].as_str().unwrap()).unwrap();
        assert_eq!(inner, value);
        assert_eq!(Value::from(object.node()), read);
        assert_eq!(JsonText::object(|object| object).as_str(), "{}");
    }

    #[test]
    fn an_array_has_the_embedded_values_in_their_order() {
        let [one, other] = [json!("a"), json!([])];
        let of = |items: &[JsonText]| Value::from(JsonText::array(items).node());
        assert_eq!(of(&[]), json!([]));
        assert_eq!(of(&[JsonText::of(&one)]), json!([one]));
        let both = [JsonText::of(&one), JsonText::of(&other)];
        assert_eq!(of(&both), json!([one, other]));
    }
}
