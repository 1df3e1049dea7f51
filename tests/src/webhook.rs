//! A receiver of webhooks for tests.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Accepts messages at an address of its own.
pub struct Webhook {
    /// The URL of the webhook.
    pub url: String,
    received: Mutex<Receiver<Delivered>>,
    answers: Arc<Mutex<Answers>>,
}

/// The status of each response; 204 unless a test has set another.
#[derive(Default)]
struct Answers {
    planned: VecDeque<Reply>,
    refused: Option<String>,
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The header fields; names are in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

#[derive(Clone, Copy)]
enum Reply {
    Status(u16),
    HangUp,
    Never,
}

impl Delivered {
    /// Returns a header field.
    pub fn header(&self, name: &str) -> &str {
        let mut fields = self.headers.iter();
        let found = fields.find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Parses the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

impl Answers {
    fn to(&mut self, delivered: &Delivered) -> Reply {
        let message = delivered.json();
        let to = message["to"].as_str().unwrap_or_default();
        match &self.refused {
            Some(domain) if to.ends_with(domain) => Reply::Status(503),
            _ => self.planned.pop_front().unwrap_or(Reply::Status(204)),
        }
    }
}

impl Webhook {
    /// Starts a receiver that accepts all messages.
    pub fn start() -> Webhook {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, received) = channel();
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let shared = Arc::clone(&answers);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, answers) = (sender.clone(), Arc::clone(&shared));
                thread::spawn(move || serve(stream, &sender, &answers));
            }
        });
        Webhook {
            url: format!("http://{address}/hook"),
            received: Mutex::new(received),
            answers,
        }
    }

    /// Answers the next planned request with this status.
    pub fn answer(&self, status: u16) {
        self.plan(Reply::Status(status));
    }

    /// Closes the connection of the next planned request.
    pub fn hang_up(&self) {
        self.plan(Reply::HangUp);
    }

    /// Leaves the next planned request without a response.
    pub fn stall(&self) {
        self.plan(Reply::Never);
    }

    /// From now on answers 503 to all messages for addresses in this domain.
    pub fn refuse(&self, domain: &str) {
        let mut answers = self.answers.lock().expect("no thread failed");
        answers.refused = Some(format!("@{domain}"));
    }

    fn plan(&self, reply: Reply) {
        let mut answers = self.answers.lock().expect("no thread failed");
        answers.planned.push_back(reply);
    }

    /// Waits for the next request.
    pub fn receive(&self) -> Delivered {
        let received = self.received.lock().expect("no thread failed");
        received
            .recv_timeout(Duration::from_secs(60))
            .expect("a message comes")
    }

    /// Returns whether all received requests were taken by the test.
    pub fn is_empty(&self) -> bool {
        let received = self.received.lock().expect("no thread failed");
        received.try_recv().is_err()
    }

    /// Returns the code of the next message, which must be of this kind. Notices of a login
    /// are skipped.
    pub fn code(&self, kind: &str) -> String {
        let mut message = self.receive().json();
        while message["kind"] == "login-from-new-source" {
            message = self.receive().json();
        }
        assert_eq!(message["kind"], kind, "{message}");
        message["code"].as_str().expect("a code").to_owned()
    }

    /// Waits for the next message, which must be a notice of this kind to this address.
    pub fn notice(&self, kind: &str, to: &str) {
        let message = self.receive().json();
        assert_eq!(
            (&message["kind"], &message["to"]),
            (&kind.into(), &to.into())
        );
        assert!(message["code"].is_null(), "{message}");
    }
}

fn serve(mut stream: TcpStream, sender: &Sender<Delivered>, answers: &Mutex<Answers>) {
    let Ok(copy) = stream.try_clone() else { return };
    let Some(delivered) = read(&mut BufReader::new(copy)) else {
        return;
    };
    let reply = answers.lock().expect("no thread failed").to(&delivered);
    // The test may be over.
    let _ = sender.send(delivered);
    match reply {
        Reply::Status(status) => {
            let answer = format!(
                "HTTP/1.1 {status} Answer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
        Reply::HangUp => {}
        Reply::Never => loop {
            thread::park();
        },
    }
}

fn read(reader: &mut impl BufRead) -> Option<Delivered> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    assert!(line.starts_with("POST /hook HTTP/1.1"), "{line}");
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let delivered = Delivered {
        headers,
        body: String::new(),
    };
    let mut body = vec![0; delivered.header("content-length").parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Delivered {
        body: String::from_utf8(body).ok()?,
        ..delivered
    })
}
