//! Invalid responses of a component.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use user_auth_tests::Stdio;

use super::{assert_ended, assert_unharmed, built, hostile};

#[test]
fn an_invalid_response_becomes_an_error() {
    let server = hostile();
    for bad in [
        "large-header",
        "many-headers",
        "status-0",
        "status-101",
        "status-1000",
        "not-utf-8",
        "not-json",
    ] {
        assert_ended(&server, bad);
        assert_unharmed(&server, bad);
    }
}

#[test]
fn a_component_cannot_add_header_lines_or_framing() {
    let server = hostile();
    let host = server.url.trim_start_matches("http://");
    let body = r#""split-header""#;
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("\r\nx-good: 1"), "{head}");
    for bad in ["stolen", "x-split", "chunked", "\r\ncontent-length: 1\r"] {
        assert!(!head.contains(bad), "{bad} in {head}");
    }
    assert_eq!(body, "{}");
}

/// On standard output an invalid message would mix with the messages of other requests.
#[test]
fn only_valid_messages_are_written_to_standard_output() {
    let component = built("user-auth-hostile.wasm");
    let arguments = ["--store", "memory", "--component"];
    let mut client = Stdio::start(&[&arguments[..], &[component.to_str().unwrap()]].concat());
    for bad in ["not-json", "not-utf-8", "large-answer"] {
        client.send(format!("{bad:?}"));
    }
    client.send(r#""nothing""#);
    assert_eq!(client.receive()["did"], "nothing");
    let (status, rest) = client.finish();
    assert!(status.success());
    assert!(rest.is_empty(), "{rest:?}");
}
