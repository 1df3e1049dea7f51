//! Rejects request heads that hyper accepts but that have to be refused.
//!
//! hyper parses as leniently as RFC 9112 permits, and has no strict mode: a line may
//! end with a bare LF, and a message may have several lengths. A proxy that parses
//! differently sees other requests in the same bytes, and then one of its clients can
//! speak for another (RFC 9112 section 11.2, request smuggling). So each head is
//! checked before hyper gets it. The start of the next head follows from the body
//! length that hyper has parsed, so that there are no two readings of that either.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use hyper::body::Body as HttpBody;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The byte passed on in place of one that must not be there: hyper accepts it nowhere
/// in a head, and responds with 400.
const NOWHERE: &[u8] = b"\0";

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
const LONGEST: usize = TRANSFER_ENCODING.len();

/// A stream that passes on the bytes of a request head only after checking them.
pub(crate) struct Heads<S> {
    stream: S,
    reading: Reading,
    body: BodyLength,
    /// Bytes that were read beyond the end of a head or of a body.
    ahead: Bytes,
}

enum Reading {
    Head(Head),
    Body,
    /// A head was refused; no more bytes are passed on.
    Refused,
}

/// Number of bytes left in the body of a request, set by the service that gets the
/// request from hyper.
#[derive(Clone)]
pub(crate) struct BodyLength(Arc<AtomicU64>);

/// The length of the body is not known yet.
const UNSAID: u64 = u64::MAX;
/// All further bytes belong to the body: the ends of chunks are not parsed, so the
/// connection has to be closed after the request.
const THE_REST: u64 = u64::MAX - 1;

impl BodyLength {
    /// Notes the body length of a request whose head hyper has parsed. Returns false if
    /// the length is unknown, so that no other request may follow on the connection.
    pub(crate) fn note(&self, body: &impl HttpBody) -> bool {
        // hyper rejects lengths close to these two.
        let length = body.size_hint().exact();
        self.0.store(length.unwrap_or(THE_REST), Relaxed);
        length.is_some()
    }
}

/// The state of a partly parsed head.
#[derive(Default)]
struct Head {
    /// Number of complete lines, without the empty ones before the first.
    lines: usize,
    /// Length of the current line in bytes.
    length: usize,
    /// Whether the last byte was a CR, which only an LF may follow.
    ends: bool,
    /// The name of the field in lower case, as long as it may be one of the two.
    name: [u8; LONGEST],
    in_name: bool,
    has_length: bool,
    has_coding: bool,
}

/// The result of parsing more bytes of a head.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The head is not complete.
    More,
    /// The head ends after this many of the bytes.
    End(usize),
    /// The byte after this many of the bytes is not allowed.
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
            // RFC 9112 section 2.2 permits a server to accept it as the end of a line.
            b'\n' => return Found::Wrong(0),
            // The target of a request has no fragment (section 3.2); hyper would drop
            // it, and everything after it.
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

    /// Returns whether this field repeats the body length, or states it in a second way
    /// (section 6.3 permits a server to reject both).
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
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            reading: Reading::Head(Head::default()),
            body: BodyLength(Arc::new(AtomicU64::new(UNSAID))),
            ahead: Bytes::new(),
        }
    }

    /// Returns the handle through which body lengths are set.
    pub(crate) fn body_length(&self) -> BodyLength {
        self.body.clone()
    }

    /// Returns how many of these bytes may be passed on. `Err` is the number before the
    /// one that must be refused.
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

    /// Ends a body that has been read. Fails if hyper wants more bytes although it did
    /// not accept the head as a request.
    fn turn_to_next(&mut self) -> io::Result<()> {
        if !matches!(self.reading, Reading::Body) {
            return Ok(());
        }
        match self.body.0.load(Relaxed) {
            0 => self.reading = Reading::Head(Head::default()),
            UNSAID => {
                let reason = "the head is not a valid request";
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

    /// Parses the head whole and byte by byte, and expects the same result.
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
    fn the_first_forbidden_byte_is_found() {
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
    async fn a_body_is_followed_by_a_head() {
        use tokio::io::AsyncReadExt as _;

        let head = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
        let bytes = format!("{head}\n\n#\n{head}1234GET / HTTP/1.1\nA: b\n\n");
        let mut stream = Heads::new(bytes.as_bytes());
        let length = stream.body_length();
        let mut buffer = [0; 1024];
        for body in ["\n\n#\n", "1234"] {
            let read = stream.read(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..read], head.as_bytes());
            assert!(length.note(&http_body_util::Full::new(Bytes::from(body))));
            let read = stream.read(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..read], body.as_bytes());
        }
        let read = stream.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], b"GET / HTTP/1.1\0");
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_head_that_is_not_a_request_is_the_last() {
        use tokio::io::AsyncReadExt as _;

        let bytes = "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        let mut stream = Heads::new(bytes.as_bytes());
        let mut buffer = [0; 1024];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), bytes.len() / 2);
        stream.read(&mut buffer).await.unwrap_err();
    }
}
