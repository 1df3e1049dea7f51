//! Fuzzes one MCP message: the first line is `stdio` or empty, the next lines are header
//! fields, and the body follows after an empty line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use user_auth_guest::mcp::{self, Request, Transport};
use user_auth_guest::operations::Offer;
use user_auth_guest::testing::World;

fuzz_target!(|input: &[u8]| {
    let world = World::with_alice();
    let request = parse(input);
    let offer = Offer {
        lists_by_permission: true,
        ..Offer::EVERYTHING
    };
    let response = mcp::handle(&request, offer, &world.settings, world.ports());
    assert!((200..600).contains(&response.status));
    if let Some(body) = &response.body {
        serde_json::from_slice::<serde_json::Value>(body).expect("an answer is JSON");
    }
});

fn parse(input: &[u8]) -> Request {
    let end = input.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (&[][..], input),
    };
    let head = String::from_utf8_lossy(head);
    let headers = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    Request {
        transport: match head.lines().next() {
            Some("stdio") => Transport::Stdio,
            _ => Transport::Http,
        },
        headers: headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        peer: Some("192.0.2.1".to_owned()),
        body: body.to_vec(),
    }
}
