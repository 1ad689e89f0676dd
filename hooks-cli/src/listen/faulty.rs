//! Answers that are given badly.

use std::io::{self, Write as _};

use fastrand::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::answer::Answer;
use super::fault::{Fault, SLOW};

impl Fault {
    /// Gives an answer badly. Returns when the client has gone, or when there is nothing more to do.
    ///
    /// # Errors
    /// When the client has gone while it was written to; nobody has to be told.
    pub(super) async fn answer(
        self,
        stream: &mut BufReader<TcpStream>,
        answer: &Answer,
        rng: &mut Rng,
    ) -> io::Result<()> {
        match self {
            Self::NeverAccept | Self::CloseIdle | Self::SlowRead => stream.write_all(&answer.bytes(true)).await,
            Self::HangUp => Ok(()),
            Self::Stall => until_gone(stream).await,
            Self::Drip => drip(stream, &answer.bytes(false)).await,
            Self::Reset => {
                let head = format!("{}content-length: 1000\r\n\r\n{{\"half\":", answer.head());
                stream.write_all(head.as_bytes()).await?;
                stream.get_ref().set_zero_linger()
            }
            Self::EndlessHeaders => endless(stream, &answer.head(), "x-and: there is more of this to come\r\n").await,
            Self::EndlessBody => {
                let head = format!("{}transfer-encoding: chunked\r\n\r\n", answer.head());
                let piece = "and there is more of this to come\n";
                endless(stream, &head, &format!("{:x}\r\n{piece}\r\n", piece.len())).await
            }
            Self::Interim => endless(stream, "", "HTTP/1.1 103 Early Hints\r\nlink: </wait>\r\n\r\n").await,
            Self::WrongLength => {
                let length = answer.body.len() + 1_000;
                let head = format!("{}content-length: {length}\r\n\r\n", answer.head());
                stream.write_all(&[head.as_bytes(), &answer.body].concat()).await
            }
            Self::TruncatedChunks => {
                let head = format!("{}transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n20\r\nand hal", answer.head());
                stream.write_all(head.as_bytes()).await
            }
            Self::Bomb => bomb(stream, answer).await,
            Self::Garbage => {
                let body = (0..4_096).map(|_| rng.u8(..)).collect();
                let answer = Answer { body, ..Answer::status(200) }.header("content-type", "application/json");
                stream.write_all(&answer.bytes(true)).await
            }
        }
    }
}

async fn until_gone(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut buffer = [0; 1 << 10];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn drip(stream: &mut BufReader<TcpStream>, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(SLOW).await;
    }
    Ok(())
}

async fn endless(stream: &mut BufReader<TcpStream>, head: &str, piece: &str) -> io::Result<()> {
    stream.write_all(head.as_bytes()).await?;
    let pieces = piece.repeat(100);
    loop {
        stream.write_all(pieces.as_bytes()).await?;
    }
}

/// The unpacked size of one member of the bomb, and the number of members. Members of gzip that
/// follow each other are one file (RFC 1952, 2.2).
const MEMBER: usize = 1 << 20;
const MEMBERS: usize = 10 << 10;

async fn bomb(stream: &mut BufReader<TcpStream>, answer: &Answer) -> io::Result<()> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b'0'; 64 << 10];
    for _ in 0..MEMBER / zeros.len() {
        gzip.write_all(&zeros)?;
    }
    let member = gzip.finish()?;
    let length = member.len() * MEMBERS;
    let head = format!("{}content-encoding: gzip\r\ncontent-length: {length}\r\n\r\n", answer.head());
    stream.write_all(head.as_bytes()).await?;
    for _ in 0..MEMBERS {
        stream.write_all(&member).await?;
    }
    Ok(())
}
