//! A mail server for tests, which holds its clients to RFC 5321.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Accepts mail at an address of its own.
pub struct Smtp {
    /// The address: `127.0.0.1:PORT`.
    pub address: String,
    received: Mutex<Receiver<Mail>>,
}

/// A mail as it was received.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// The argument of AUTH PLAIN.
    pub auth: Option<String>,
    /// The reverse-path of the envelope.
    pub from: String,
    /// The forward-paths of the envelope.
    pub to: Vec<String>,
    /// Header and body, with lines ended by CRLF, without the dots of section 4.5.2.
    pub data: String,
    /// Violations of the RFC by the client.
    pub offences: Vec<String>,
}

impl Smtp {
    /// Starts a server that refuses this many mails temporarily at first, and accepts all
    /// others.
    pub fn start(refused_at_first: usize) -> Smtp {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (sender, received) = channel();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                // The client may disconnect.
                let _ = serve(stream, number < refused_at_first, &sender);
            }
        });
        Smtp {
            address,
            received: Mutex::new(received),
        }
    }

    /// Waits for the next mail.
    pub fn receive(&self) -> Mail {
        let received = self.received.lock().expect("no thread failed");
        received
            .recv_timeout(Duration::from_secs(60))
            .expect("a mail comes")
    }
}

fn serve(stream: TcpStream, refuses: bool, sender: &Sender<Mail>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut session = Session {
        stream,
        mail: Mail::default(),
        greeted: false,
    };
    session.say("220 mail.example.com ESMTP")?;
    loop {
        let Some(line) = session.line(&mut reader)? else {
            return Ok(());
        };
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                session.greeted = true;
                session.say("250-mail.example.com\r\n250-8BITMIME\r\n250 AUTH PLAIN")?;
            }
            "AUTH" => {
                session.mail.auth = line.split(' ').nth(2).map(str::to_owned);
                session.say("235 2.7.0 Accepted")?;
            }
            "MAIL" if refuses => session.say("451 4.3.0 Try again later")?,
            "MAIL" => {
                session.expect(
                    |session| session.greeted && session.mail.from.is_empty(),
                    &line,
                );
                session.mail.from = session.path(&line, "MAIL FROM:<");
                session.say("250 2.1.0 OK")?;
            }
            "RCPT" => {
                session.expect(|session| !session.mail.from.is_empty(), &line);
                let path = session.path(&line, "RCPT TO:<");
                session.mail.to.push(path);
                session.say("250 2.1.5 OK")?;
            }
            "DATA" => {
                session.expect(|session| !session.mail.to.is_empty(), &line);
                session.say("354 End data with <CR><LF>.<CR><LF>")?;
                session.data(&mut reader)?;
                session.say("250 2.0.0 Queued")?;
                let mail = std::mem::take(&mut session.mail);
                // The test may be over.
                let _ = sender.send(mail);
            }
            "RSET" | "NOOP" => session.say("250 OK")?,
            "QUIT" => return session.say("221 2.0.0 Bye"),
            _ => {
                session.mail.offences.push(line);
                session.say("500 5.5.2 What?")?;
            }
        }
    }
}

struct Session {
    stream: TcpStream,
    mail: Mail,
    greeted: bool,
}

impl Session {
    fn say(&mut self, reply: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes())
    }

    /// RFC 5321 section 2.3.8: a line ends with CRLF, and neither character stands alone.
    fn line(&mut self, reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.strip_suffix("\r\n") {
            Some(whole) if !whole.contains('\r') => return Ok(Some(whole.to_owned())),
            _ => self
                .mail
                .offences
                .push(format!("a bare CR or LF: {line:?}")),
        }
        Ok(Some(line.trim_end().to_owned()))
    }

    fn expect(&mut self, holds: impl Fn(&Session) -> bool, line: &str) {
        if !holds(self) {
            self.mail.offences.push(format!("out of order: {line}"));
        }
    }

    fn path(&mut self, line: &str, start: &str) -> String {
        let path = line
            .strip_prefix(start)
            .and_then(|rest| rest.split_once('>'));
        if path.is_none() {
            self.mail.offences.push(format!("no path: {line}"));
        }
        path.map_or_else(String::new, |(path, _)| path.to_owned())
    }

    fn data(&mut self, reader: &mut impl BufRead) -> std::io::Result<()> {
        while let Some(line) = self.line(reader)? {
            if line == "." {
                return Ok(());
            }
            if line.len() > 998 {
                self.mail.offences.push(format!("a line too long: {line}"));
            }
            self.mail.data += line.strip_prefix('.').unwrap_or(&line);
            self.mail.data += "\r\n";
        }
        Ok(())
    }
}
