//! Fuzzes a text in the place of a form, of the query of a URL and of a header field `cookie`:
//! what is read is written again with the same meaning.

#![no_main]

use libfuzzer_sys::fuzz_target;
use user_auth_guest::oauth::parameters::{MAX_BYTES, Parameters, encode};
use user_auth_guest::web::cookies::Cookie;

fuzz_target!(|text: &[u8]| {
    if let Some(form) = Parameters::parse(text) {
        assert!(text.len() <= MAX_BYTES);
        for name in ["code", "scope", "state"] {
            let values: Vec<&str> = form.all(name).collect();
            assert_eq!(form.only(name).is_err(), values.len() > 1);
            assert!(values.iter().all(|value| !value.is_empty()));
            let fields: Vec<(&str, &str)> = values.iter().map(|value| (name, *value)).collect();
            let again = encode(&fields);
            assert!(again.bytes().all(|byte| byte.is_ascii_graphic()));
            if again.len() <= MAX_BYTES {
                let again = Parameters::parse(again.as_bytes()).expect("it was just written");
                assert_eq!(again.all(name).collect::<Vec<_>>(), values);
            }
        }
    }
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    for is_https in [false, true] {
        let Some(value) = Cookie::Session.read(&[text], is_https) else {
            continue;
        };
        assert!(text.contains(&value) && !value.contains(';'));
        let (_, set) = Cookie::Session.set(&value, None, is_https);
        let pair = set.split("; Path").next().expect("there is a first part");
        assert_eq!(Cookie::Session.read(&[pair], is_https), Some(value));
        assert_eq!(Cookie::Session.read(&[text, pair], is_https), None);
    }
});
