//! Invalid responses of a component, by their names.

use crate::exports::user_auth::plugin::mcp::{Field, Response};

/// Returns a valid response.
pub fn json(body: String) -> Response {
    answer(200, Vec::new(), body.into_bytes())
}

pub fn named(name: &str) -> Option<Response> {
    let good = || b"{}".to_vec();
    Some(match name {
        "large-answer" => {
            // Beside this there is hardly room for anything else.
            let mut body = vec![b' '; 48 * 1024 * 1024];
            body[..2].copy_from_slice(&good());
            answer(200, Vec::new(), body)
        }
        "split-header" => answer(
            200,
            vec![
                field("x-split", "1\r\nset-cookie: stolen=1"),
                field("x-name\r\nset-cookie: stolen=1", "1"),
                field("content-length", "1"),
                field("transfer-encoding", "chunked"),
                field("x-good", "1"),
            ],
            good(),
        ),
        "large-header" => answer(200, vec![field("x-large", &"x".repeat(4 << 20))], good()),
        "many-headers" => {
            let fields = (0..50_000).map(|number| field(&format!("x-{number}"), "1"));
            answer(200, fields.collect(), good())
        }
        "status-0" => answer(0, Vec::new(), good()),
        "status-101" => answer(101, Vec::new(), good()),
        "status-1000" => answer(1000, Vec::new(), good()),
        "not-utf-8" => answer(200, Vec::new(), b"{\"text\":\"\xff\"}".to_vec()),
        "not-json" => answer(200, Vec::new(), b"<script>alert(1)</script>".to_vec()),
        _ => return None,
    })
}

fn answer(status: u16, headers: Vec<Field>, body: Vec<u8>) -> Response {
    Response {
        status,
        headers,
        body: Some(body),
    }
}

fn field(name: &str, value: &str) -> Field {
    Field {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}
