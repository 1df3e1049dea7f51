//! What hyper does not refuse in the head of a request, and has to be refused.
//!
//! hyper reads as leniently as RFC 9112 lets a server read, and has no option to be
//! strict: a line may end with a bare LF, and a message may have several lengths. A
//! proxy that reads otherwise sees other requests in the same bytes, and then one of
//! its clients can speak for another (RFC 9112 section 11.2, request smuggling). So
//! each head is looked at before hyper gets it. Where the head after it begins is
//! hyper's to say, which has read the length of the body: there are no two readings of
//! that either.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use axum::body::HttpBody;
use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is handed on in the place of a byte that must not be there: hyper takes it
/// nowhere in a head, and answers 400.
const NOWHERE: &[u8] = b"\0";

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
const LONGEST: usize = TRANSFER_ENCODING.len();

/// A stream on which no byte of a head is read before the head has been found good.
pub(super) struct Heads<S> {
    stream: S,
    reading: Reading,
    body: BodyLength,
    /// What was read behind the end of a head, or of a body.
    ahead: Bytes,
}

enum Reading {
    Head(Head),
    Body,
    /// A head was refused: nothing comes after it.
    Refused,
}

/// How much of the body of a request is still to be read. Said by the service that
/// gets the request from hyper.
#[derive(Clone)]
pub(super) struct BodyLength(Arc<AtomicU64>);

/// Nothing has been said of the body.
const UNSAID: u64 = u64::MAX;
/// All that comes is of the body: where chunks end is not looked for, so that their
/// connection has to end with them.
const THE_REST: u64 = u64::MAX - 1;

impl BodyLength {
    /// Takes note of the body of a request that hyper has read the head of. False: its
    /// length is not known, and no other request may follow on the connection.
    pub(super) fn note(&self, body: &impl HttpBody) -> bool {
        // hyper refuses lengths that come near to these two.
        let length = body.size_hint().exact();
        self.0.store(length.unwrap_or(THE_REST), Relaxed);
        length.is_some()
    }
}

/// A head, as far as it has been read.
#[derive(Default)]
struct Head {
    /// Complete lines, with those that are empty before the first left out.
    lines: usize,
    /// Bytes of the line.
    length: usize,
    /// A CR, which only a LF may follow.
    ends: bool,
    /// The name of the field, in lower case, as long as it may be one of the two.
    name: [u8; LONGEST],
    in_name: bool,
    has_length: bool,
    has_coding: bool,
}

/// What a head comes to with some more of its bytes.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// It goes on.
    More,
    /// It ends behind so many of them.
    End(usize),
    /// The byte behind so many of them must not be there.
    Wrong(usize),
}

impl Head {
    fn read(&mut self, bytes: &[u8]) -> Found {
        for (index, &byte) in bytes.iter().enumerate() {
            match self.take(byte) {
                Found::More => {}
                Found::End(length) => return Found::End(index + length),
                Found::Wrong(length) => return Found::Wrong(index + length),
            }
        }
        Found::More
    }

    fn take(&mut self, byte: u8) -> Found {
        match byte {
            b'\n' if self.ends => return self.end_line(),
            _ if self.ends => return Found::Wrong(0),
            b'\r' => {
                self.ends = true;
                return Found::More;
            }
            // RFC 9112 section 2.2 lets a server take it for the end of a line.
            b'\n' => return Found::Wrong(0),
            // Of the target of a request there is no fragment (section 3.2); hyper
            // leaves it out, and what is behind it too.
            b'#' if self.lines == 0 => return Found::Wrong(0),
            b':' if self.in_name => {
                self.in_name = false;
                if self.is_one_too_many() {
                    return Found::Wrong(0);
                }
            }
            _ if self.in_name => match self.name.get_mut(self.length) {
                Some(place) => *place = byte.to_ascii_lowercase(),
                None => self.in_name = false,
            },
            _ => {}
        }
        self.length += 1;
        Found::More
    }

    fn end_line(&mut self) -> Found {
        self.ends = false;
        if self.length > 0 {
            self.lines += 1;
        } else if self.lines > 0 {
            return Found::End(1);
        }
        self.length = 0;
        self.in_name = self.lines > 0;
        Found::More
    }

    /// Whether this field says once more how long the body is, or says it in another
    /// way (section 6.3 lets a server refuse both).
    fn is_one_too_many(&mut self) -> bool {
        match &self.name[..self.length] {
            CONTENT_LENGTH => std::mem::replace(&mut self.has_length, true) || self.has_coding,
            TRANSFER_ENCODING => {
                self.has_coding = true;
                self.has_length
            }
            _ => false,
        }
    }
}

impl<S> Heads<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            reading: Reading::Head(Head::default()),
            body: BodyLength(Arc::new(AtomicU64::new(UNSAID))),
            ahead: Bytes::new(),
        }
    }

    /// Where to say how long bodies are.
    pub(super) fn body_length(&self) -> BodyLength {
        self.body.clone()
    }

    /// How many of these bytes may be handed on; `Err`: so many, and then nothing.
    fn look_at(&mut self, bytes: &[u8]) -> Result<usize, usize> {
        if let Reading::Head(head) = &mut self.reading {
            return match head.read(bytes) {
                Found::More => Ok(bytes.len()),
                Found::End(length) => {
                    self.body.0.store(UNSAID, Relaxed);
                    self.reading = Reading::Body;
                    Ok(length)
                }
                Found::Wrong(length) => {
                    self.reading = Reading::Refused;
                    Err(length)
                }
            };
        }
        let left = self.body.0.load(Relaxed);
        if left == THE_REST {
            return Ok(bytes.len());
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        self.body.0.store(left - length as u64, Relaxed);
        Ok(length)
    }

    /// Ends a body that has been read; `Err`: hyper wants more of a request that it
    /// has not made anything of.
    fn turn_to_next(&mut self) -> io::Result<()> {
        if !matches!(self.reading, Reading::Body) {
            return Ok(());
        }
        match self.body.0.load(Relaxed) {
            0 => self.reading = Reading::Head(Head::default()),
            UNSAID => {
                let reason = "there is no request of this head";
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            _ => {}
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.turn_to_next()?;
        if matches!(this.reading, Reading::Refused) {
            return Poll::Ready(Ok(()));
        }
        let begin = buffer.filled().len();
        if this.ahead.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            let looked = this.look_at(&buffer.filled()[begin..]);
            let end = begin + looked.unwrap_or_else(|end| end);
            if end < buffer.filled().len() && looked.is_ok() {
                this.ahead = Bytes::copy_from_slice(&buffer.filled()[end..]);
            }
            buffer.set_filled(end);
            if looked.is_err() {
                buffer.put_slice(NOWHERE);
            }
            return Poll::Ready(Ok(()));
        }
        let length = this.ahead.len().min(buffer.remaining());
        let bytes = this.ahead.slice(..length);
        let looked = this.look_at(&bytes);
        let end = looked.unwrap_or_else(|end| end);
        buffer.put_slice(&bytes[..end]);
        this.ahead.advance(end);
        if looked.is_err() {
            buffer.put_slice(NOWHERE);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is read whole, and byte by byte.
    fn found(head: &str) -> Found {
        let whole = Head::default().read(head.as_bytes());
        let mut pieces = Head::default();
        let mut piecewise = Found::More;
        for (index, byte) in head.bytes().enumerate() {
            piecewise = match pieces.read(&[byte]) {
                Found::More => continue,
                Found::End(length) => Found::End(index + length),
                Found::Wrong(length) => Found::Wrong(index + length),
            };
            break;
        }
        assert_eq!(whole, piecewise, "{head:?}");
        whole
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nX-Content-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTe: #\r\n\r\n",
            "POST / HTTP/1.1\r\nx: content-length: transfer-encoding:\r\nContent-Length:\r\n\r\n",
        ] {
            let followed = format!("{head}more\n");
            assert_eq!(found(&followed), Found::End(head.len()), "{head:?}");
        }
        for part in [
            "",
            "\r\n",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r",
        ] {
            assert_eq!(found(part), Found::More, "{part:?}");
        }
    }

    #[test]
    fn the_first_byte_that_must_not_be_there_is_found() {
        for (good, wrong) in [
            ("", "\n"),
            ("GET / HTTP/1.1", "\n"),
            ("GET / HTTP/1.1\r\nA: b", "\n\n"),
            ("GET / HTTP/1.1\r\n", "\n"),
            ("GET / HTTP/1.1\r\nA: b\r", "C: d"),
            ("GET / HTTP/1.1\r", "\r\n"),
            ("GET /", "#a"),
            (
                "GET / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length",
                ": 1",
            ),
            (
                "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding",
                ": x",
            ),
            (
                "GET / HTTP/1.1\r\nTRANSFER-ENCODING: x\r\nContent-Length",
                ":1",
            ),
        ] {
            let head = format!("{good}{wrong}\r\n\r\n");
            assert_eq!(found(&head), Found::Wrong(good.len()), "{head:?}");
        }
    }

    #[tokio::test]
    async fn what_follows_a_body_is_a_head_again() {
        use tokio::io::AsyncReadExt as _;

        let head = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
        let bytes = format!("{head}\n\n#\n{head}1234GET / HTTP/1.1\nA: b\n\n");
        let mut stream = Heads::new(bytes.as_bytes());
        let length = stream.body_length();
        let mut buffer = [0; 1024];
        for body in ["\n\n#\n", "1234"] {
            let read = stream.read(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..read], head.as_bytes());
            assert!(length.note(&axum::body::Body::from(body)));
            let read = stream.read(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..read], body.as_bytes());
        }
        let read = stream.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], b"GET / HTTP/1.1\0");
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_head_that_nothing_was_made_of_is_the_last() {
        use tokio::io::AsyncReadExt as _;

        let bytes = "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        let mut stream = Heads::new(bytes.as_bytes());
        let mut buffer = [0; 1024];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), bytes.len() / 2);
        stream.read(&mut buffer).await.unwrap_err();
    }
}
