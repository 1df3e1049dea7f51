//! Parameters in queries and forms (`application/x-www-form-urlencoded`).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The longest query or form.
pub const MAX_BYTES: usize = 16 << 10;
/// More parameters than any request has.
const MAX_PARAMETERS: usize = 100;

/// All but the unreserved characters of RFC 3986 section 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Decoded parameters, in the order in which they were sent. A parameter without a value
/// counts as left out (RFC 6749 section 3.1).
#[derive(Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

/// The parameter occurs more than once (RFC 6749 section 3.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Repeated(pub String);

impl Parameters {
    /// Parses a query or a form. Returns `None` if it is too long or not UTF-8.
    pub fn parse(text: &[u8]) -> Option<Parameters> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let text = str::from_utf8(text).ok()?;
        let mut parameters = Vec::new();
        for field in text.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if parameters.len() == MAX_PARAMETERS {
                return None;
            }
            if !value.is_empty() {
                parameters.push((name, value));
            }
        }
        Some(Parameters(parameters))
    }

    /// Returns the value of a parameter that occurs at most once.
    pub fn only(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.all(name);
        let value = values.next();
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Repeated(name.to_owned())),
        }
    }

    /// Returns all parameters as a query.
    pub fn to_query(&self) -> String {
        let pairs = self.0.iter();
        let pairs: Vec<_> = pairs.map(|(name, value)| (&**name, &**value)).collect();
        encode(&pairs)
    }

    /// Returns the first value of a parameter.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns the names of all parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Returns all values of a parameter.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let values = self.0.iter().filter(move |(known, _)| known == name);
        values.map(|(_, value)| value.as_str())
    }
}

/// Encodes parameters for a query.
pub fn encode(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| {
        let encoded = |text| utf8_percent_encode(text, ENCODED);
        format!("{}={}", encoded(name), encoded(value))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Decodes a name or a value. Returns `None` if it is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    // Most values, such as tokens, need no decoding.
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(text.to_owned());
    }
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_has_one_value_and_an_empty_one_has_none() {
        let read = Parameters::parse(b"a=1&b=&%63=x+y%2B&d=1&d=2&e").unwrap();
        assert_eq!(read.only("a"), Ok(Some("1")));
        assert_eq!(read.only("b"), Ok(None));
        assert_eq!(read.only("c"), Ok(Some("x y+")));
        assert_eq!(read.only("d"), Err(Repeated("d".to_owned())));
        assert_eq!(read.only("e"), Ok(None));
        assert_eq!(read.all("d").collect::<Vec<_>>(), ["1", "2"]);
        for wrong in [
            &b"a=%ff"[..],
            b"\xff=1",
            "a=1&".repeat(101).as_bytes(),
            &[b'a'; MAX_BYTES + 1],
        ] {
            assert!(Parameters::parse(wrong).is_none());
        }
    }

    #[test]
    fn encoded_parameters_are_read_as_they_were() {
        let text = "a b\r\n&=%#\u{e4}~";
        let encoded = encode(&[("state", text)]);
        assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
        let read = Parameters::parse(encoded.as_bytes()).unwrap();
        assert_eq!(read.only("state"), Ok(Some(text)));
    }
}
