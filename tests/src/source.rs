//! Calls from other addresses of this machine.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::runtime;

use crate::Server;

impl Server {
    /// Calls an operation from `source`, an address such as 127.0.0.3; `Err` holds the
    /// error object.
    pub fn call_from(
        &self,
        source: &str,
        operation: &str,
        arguments: Value,
    ) -> Result<Value, Value> {
        let params = json!({"name": format!("user-auth_{operation}"), "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let answer = self.post_from(source, &body.to_string());
        match answer.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(answer["result"]["structuredContent"].clone()),
        }
    }

    fn post_from(&self, source: &str, body: &str) -> Value {
        let host = self.url.trim_start_matches("http://");
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let answer = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
            let mut stream = socket.connect(host.parse().unwrap()).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        });
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str(body).unwrap()
    }
}
