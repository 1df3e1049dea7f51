//! Request boundaries: a proxy in front of the server must not read other requests in the
//! same bytes than the server does (RFC 9112 section 11.2).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use user_auth_tests::{Options, Server};

use super::PING;

const HEAD: &str = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

fn start() -> Server {
    Options::new().store("memory").start()
}

/// Returns everything that the server answers on one connection until it closes it. The
/// last request must make it close: it has `Connection: close`, or is refused.
fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A connection that is closed with unread bytes may be reset.
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("the connection was not closed: {}", bytes.escape_ascii())
        }
        _ => {}
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns the statuses of all responses in the text.
fn statuses(answers: &str) -> Vec<&str> {
    let parts = answers.split("HTTP/1.").skip(1);
    parts.map(|part| &part[2..5]).collect()
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// Builds a ping with these extra lines, unchanged.
fn with(lines: &str) -> String {
    let length = PING.len();
    format!("{HEAD}Connection: close\r\n{lines}Content-Length: {length}\r\n\r\n{PING}")
}

#[test]
fn attack_49_ambiguous_request_heads_are_refused() {
    let server = start();
    assert_eq!(statuses(&exchange(&server, with("").as_bytes())), ["200"]);
    let length = format!("Content-Length: {}\r\n", PING.len());
    let chunked = format!(
        "{HEAD}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        chunked(PING)
    );
    assert_eq!(statuses(&exchange(&server, chunked.as_bytes())), ["200"]);
    for (what, request) in [
        ("bare LF everywhere", with("").replace("\r\n", "\n")),
        (
            "bare LF after the request line",
            with("").replacen("\r\n", "\n", 1),
        ),
        ("bare LF in a value", with("X-A: a\nX-B: b\r\n")),
        (
            "bare LF before a length",
            with("X-A: a\nContent-Length: 0\r\n"),
        ),
        ("bare LF at the end", with("").replace("\r\n\r\n", "\r\n\n")),
        (
            "two bare LF at the end",
            with("").replace("\r\n\r\n", "\n\n"),
        ),
        ("bare LF before the request", format!("\n{}", with(""))),
        ("bare CR in a value", with("X-A: a\rX-B: b\r\n")),
        ("bare CR at the end of a line", with("X-A: a\r\r\n")),
        ("NUL in a value", with("X-A: a\0b\r\n")),
        ("NUL in a name", with("X-\0A: a\r\n")),
        ("another control character", with("X-A: a\x08b\r\n")),
        ("a folded line", with("X-A: a\r\n b\r\n")),
        ("a folded line with a tab", with("X-A: a\r\n\tb\r\n")),
        (
            "space before the first field",
            with("").replacen("Host", " Host", 1),
        ),
        ("blank before the colon", with("X-A : a\r\n")),
        (
            "space before the colon of the length",
            with("").replace("Length:", "Length :"),
        ),
        ("no name", with(": a\r\n")),
        ("no colon", with("X-A\r\n")),
        ("two lengths", with("Content-Length: 3\r\n")),
        ("the same length twice", with(&length)),
        (
            "a list of lengths",
            with("").replace("Length: ", "Length: 40, "),
        ),
        ("a signed length", with("").replace("Length: ", "Length: +")),
        (
            "a length and chunks",
            with("Transfer-Encoding: chunked\r\n"),
        ),
        (
            "chunks and a length",
            chunked.replace("\r\n\r\n", &format!("\r\n{length}\r\n")),
        ),
        (
            "chunks and a length in another case",
            chunked.replace("\r\n\r\n", "\r\ncONTENT-lENGTH: 3\r\n\r\n"),
        ),
        (
            "another coding",
            with("").replace("Content-Length: ", "Transfer-Encoding: x"),
        ),
        (
            "chunks with a parameter",
            chunked.replace("g: chunked", "g: chunked;a=b"),
        ),
        (
            "chunks in HTTP/1.0",
            chunked.replace("HTTP/1.1", "HTTP/1.0"),
        ),
        (
            "a chunk that ends with a bare LF",
            chunked.replace("\r\n0\r\n", "\n0\r\n"),
        ),
        (
            "a chunk whose size ends with a bare LF",
            chunked.replace("28\r\n", "28\n"),
        ),
        ("a size with 0x", chunked.replace("28\r\n", "0x28\r\n")),
        (
            "a bare LF in an extension",
            chunked.replace("28\r\n", "28;a\nb\r\n"),
        ),
        (
            "a bare LF in a trailer",
            chunked.replace("\r\n0\r\n", "\r\n0\r\nX-A: a\nX-B: b\r\n"),
        ),
        (
            "two spaces in the request line",
            with("").replace("POST /", "POST  /"),
        ),
        (
            "a tab in the request line",
            with("").replace("POST /", "POST\t/"),
        ),
        ("a fragment", with("").replace("/mcp", "/mcp#a")),
        (
            "a fragment behind a query",
            with("").replace("/mcp", "/mcp?a#b"),
        ),
        ("no version", with("").replace(" HTTP/1.1", "")),
        ("another version", with("").replace("HTTP/1.1", "HTTP/1.2")),
    ] {
        let answers = exchange(&server, request.as_bytes());
        assert_eq!(statuses(&answers), ["400"], "{what}: {answers}");
    }
    for (what, coding) in [
        ("two codings", "gzip, chunked"),
        ("chunks in chunks", "chunked, chunked"),
        ("chunks twice", "chunked\r\nTransfer-Encoding: chunked"),
        ("an empty coding", ", chunked"),
    ] {
        let request = chunked.replace("g: chunked", &format!("g: {coding}"));
        let answers = exchange(&server, request.as_bytes());
        assert_eq!(statuses(&answers), ["501"], "{what}: {answers}");
    }
}

/// Sends a byte at a time, and with the next request right behind.
#[test]
fn requests_are_read_the_same_in_pieces_or_pipelined() {
    let server = start();
    let first = with("").replace("Connection: close\r\n", "");
    let get = "GET /health HTTP/1.1\r\nHost: localhost\r\n";
    let last = format!("{get}Connection: close\r\n\r\n");
    let together = [&first, "\r\n", &first, get, "\r\n", &first, &last].concat();
    let answers = exchange(&server, together.as_bytes());
    assert_eq!(statuses(&answers), ["200"; 5], "{answers}");

    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in [first.as_bytes(), last.as_bytes()].concat() {
        stream.write_all(&[byte]).unwrap();
    }
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(statuses(&answers), ["200"; 2], "{answers}");
}

/// Bytes of a body are never taken for a head, neither in the first request nor in a later
/// one.
#[test]
fn a_body_may_contain_bytes_that_a_head_may_not() {
    let server = start();
    let body = "\n\r\n\r\n{\n\"jsonrpc\": \"2.0\",\n\n\"id\": 7, \"method\": \"ping\",\r\n\
                \"params\": {\"#\": \"Content-Length: 3\"}}\n\r\n\r\n\n";
    let length = body.len();
    let request = format!("{HEAD}Content-Length: {length}\r\n\r\n{body}");
    let last = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answers = exchange(&server, [&request, &request, last].concat().as_bytes());
    assert_eq!(statuses(&answers), ["200"; 3], "{answers}");
    // The second head is checked like the first.
    let smuggled = [&request, "GET /health HTTP/1.1\nHost: localhost\n\n"].concat();
    let answers = exchange(&server, smuggled.as_bytes());
    assert_eq!(statuses(&answers), ["200", "400"], "{answers}");
}

/// Servers disagree most about where chunks end, so nothing after them is taken for a
/// request.
#[test]
fn a_chunked_body_ends_its_connection() {
    let server = start();
    for path in ["/mcp", "/health", "/verify", "/nothing"] {
        let head = HEAD.replace("/mcp", path);
        let request = format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{}GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n",
            chunked(PING)
        );
        let answers = exchange(&server, request.as_bytes());
        assert_eq!(statuses(&answers).len(), 1, "{path}: {answers}");
        assert!(answers.contains("connection: close"), "{path}: {answers}");
    }
}

/// A client that is reset while it sends stops before it reads why it was refused.
#[test]
fn a_client_that_sends_on_after_a_refusal_is_not_reset() {
    let server = start();
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\nHost:").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(statuses(&answer), ["400"], "{answer}");
    for _ in 0..10 {
        stream.write_all(b" localhost\n").unwrap();
    }
}
