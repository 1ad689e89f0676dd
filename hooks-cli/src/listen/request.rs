//! Reads requests: HTTP/1.1, unpacked.

use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt as _};

use super::body::{Framing, decode};
use super::head::{Broken, Head, Limits};

/// Most encodings of a body, one over the other.
const MAX_CODINGS: usize = 2;

/// A whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) head: Head,
    /// Unpacked, where it was sent with a `content-encoding`.
    pub(crate) body: Vec<u8>,
    /// The number of bytes of body that were sent.
    pub(crate) sent: usize,
}

impl Head {
    /// Reads the body that belongs to this.
    ///
    /// # Errors
    /// When it is too large, breaks off, or is not what the headers say.
    pub(crate) async fn read_body(
        self,
        stream: &mut (impl AsyncBufRead + AsyncWrite + Unpin),
        limits: Limits,
    ) -> Result<Request, Broken> {
        let framing = Framing::of(&self).map_err(Broken::Body)?;
        if framing.is_larger_than(limits.body) {
            return Err(Broken::TooLarge { limit: limits.body });
        }
        if self.header("expect").is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue")) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(Broken::Io)?;
            stream.flush().await.map_err(Broken::Io)?;
        }
        let sent = framing.read(stream, limits.body).await?;
        let length = sent.len();
        let codings = self.list("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"));
        let codings: Vec<_> = codings.collect();
        if codings.len() > MAX_CODINGS {
            return Err(Broken::Encoding(codings.join(", ")));
        }
        // The last was applied last.
        let body = codings.iter().rev().try_fold(sent, |body, coding| decode(coding, &body, limits.body))?;
        Ok(Request { head: self, body, sent: length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use tokio::io::BufReader;

    async fn read(text: &[u8]) -> Result<Request, Broken> {
        let limits = Limits { head: 1_000, body: 100 };
        let (client, server) = tokio::io::duplex(1 << 16);
        let (_answers, mut client) = tokio::io::split(client);
        client.write_all(text).await.unwrap();
        client.shutdown().await.unwrap();
        let mut stream = BufReader::new(server);
        let head = Head::read(&mut stream, limits).await?;
        head.read_body(&mut stream, limits).await
    }

    async fn body(text: &str) -> Vec<u8> {
        read(text.as_bytes()).await.unwrap().body
    }

    async fn error(text: &str) -> String {
        read(text.as_bytes()).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn bodies_of_every_framing() {
        assert_eq!(body("POST /a?b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello!").await, b"hello");
        assert_eq!(body("POST / HTTP/1.1\r\n\r\n").await, b"");
        let chunked =
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nx: y\r\n\r\n";
        assert_eq!(body(chunked).await, b"hello");
        let request = read(b"POST /a?b HTTP/1.1\r\nX-Name: v\r\n\r\n").await.unwrap();
        assert_eq!((request.head.target.as_str(), request.head.header("x-name")), ("/a?b", Some("v")));
    }

    #[tokio::test]
    async fn packed_bodies() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello").unwrap();
        for (encoding, packed) in
            [("gzip", gzip.finish().unwrap()), ("zstd", zstd::stream::encode_all(&b"hello"[..], 1).unwrap())]
        {
            let head =
                format!("POST / HTTP/1.1\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n", packed.len());
            let request = read(&[head.as_bytes(), &packed].concat()).await.unwrap();
            assert_eq!((request.body.as_slice(), request.sent), (&b"hello"[..], packed.len()), "{encoding}");
            let broken = read(&[head.as_bytes(), &vec![b'x'; packed.len()]].concat()).await.unwrap_err();
            assert_eq!(broken.status(), Some(400), "{broken}");
        }
        let error = read(b"POST / HTTP/1.1\r\ncontent-encoding: br\r\ncontent-length: 1\r\n\r\nx").await.unwrap_err();
        assert_eq!(error.status(), Some(415));
    }

    #[tokio::test]
    async fn headers_that_are_lists_may_stand_on_several_lines() {
        let twice = zstd::stream::encode_all(&zstd::stream::encode_all(&b"hello"[..], 1).unwrap()[..], 1).unwrap();
        let post = |headers: &str, body: &[u8]| {
            [format!("POST / HTTP/1.1\r\n{headers}content-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
        };
        for headers in [
            "content-encoding: zstd, zstd\r\n",
            "content-encoding: zstd\r\ncontent-encoding: Identity\r\ncontent-encoding: ZSTD\r\n",
        ] {
            assert_eq!(read(&post(headers, &twice)).await.unwrap().body, b"hello", "{headers}");
        }
        let many = "content-encoding: zstd\r\n".repeat(3);
        assert_eq!(read(&post(&many, &twice)).await.unwrap_err().status(), Some(415));
        let coded = "POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        assert_eq!(error(coded).await, "transfer-encoding `gzip, chunked` is not supported");
        assert!(error("POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\nx").await.contains("content-length"));
        assert!(error("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n+1\r\nx\r\n").await.contains("chunk"));
    }

    #[tokio::test]
    async fn what_unpacks_to_more_than_the_limit_is_not_unpacked() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&[0; 10_000]).unwrap();
        let packed = gzip.finish().unwrap();
        assert!(packed.len() < 100);
        let head = format!("POST / HTTP/1.1\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
        let error = read(&[head.as_bytes(), &packed].concat()).await.unwrap_err();
        assert!(matches!(error, Broken::TooLarge { limit: 100 }), "{error}");
    }

    #[tokio::test]
    async fn broken_requests_say_why() {
        assert!(matches!(read(b"").await, Err(Broken::Closed)));
        for text in [
            "POST",
            "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhell",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe",
        ] {
            assert!(matches!(read(text.as_bytes()).await, Err(Broken::Io(_))), "{text}");
        }
        assert!(error("\0\r\n\r\n").await.starts_with("no HTTP/1.1: "));
        assert!(error("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n").await.contains("content-length"));
        assert!(
            error("POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n").await.contains("content-length")
        );
        let both = "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(error(both).await.contains("both"));
        assert!(error("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nz\r\n").await.contains("chunk"));
        for text in [
            "POST / HTTP/1.1\r\ncontent-length: 101\r\n\r\n".to_owned(),
            format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n65\r\n{}\r\n0\r\n\r\n", "x".repeat(101)),
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_owned(),
            format!("POST / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1_000)),
        ] {
            assert_eq!(read(text.as_bytes()).await.unwrap_err().status(), Some(413), "{text}");
        }
    }

    #[tokio::test]
    async fn connections_end_when_the_client_says_so() {
        for (head, keeps) in [
            ("HTTP/1.1\r\n", true),
            ("HTTP/1.1\r\nconnection: x, Close\r\n", false),
            ("HTTP/1.0\r\n", false),
            ("HTTP/1.0\r\nconnection: keep-alive\r\n", true),
        ] {
            let request = read(format!("POST / {head}\r\n").as_bytes()).await.unwrap();
            assert_eq!(request.head.keeps_alive(), keeps, "{head}");
        }
    }
}
