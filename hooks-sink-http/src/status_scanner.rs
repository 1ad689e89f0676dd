//! Reads the status line at the beginning of an answer over HTTP/1.

/// `HTTP/1.1 200 `: as much of a status line as says something.
const LENGTH: usize = 13;

/// Length of `HTTP/2`.
const WITHOUT_MINOR: usize = 6;

/// Listens to bytes until it has heard a final status, or something that is no answer.
#[derive(Debug, Default)]
pub(crate) struct StatusScanner {
    line: [u8; LENGTH],
    at: usize,
    state: ScanState,
    /// The number of interim answers that began.
    pub(crate) interims: u16,
}

#[derive(Debug, Clone, Copy, Default)]
enum ScanState {
    /// The beginning of a status line.
    #[default]
    Line,
    /// The rest of the line of a final status.
    Final(u16),
    /// The head of an interim answer, whose end are two line feeds without anything between them.
    Interim { feeds: u8 },
    /// Nothing more.
    Nothing,
}

impl StatusScanner {
    /// The final status, when its line ends in these bytes.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Option<u16> {
        if let ScanState::Nothing = self.state {
            return None;
        }
        bytes.iter().find_map(|byte| self.scan_byte(*byte))
    }

    /// True if it has heard neither yet.
    pub(crate) fn is_scanning(&self) -> bool {
        !matches!(self.state, ScanState::Nothing)
    }

    fn scan_byte(&mut self, byte: u8) -> Option<u16> {
        match &mut self.state {
            ScanState::Nothing => {}
            // Empty lines before an answer are passed over.
            ScanState::Line if self.at == 0 && matches!(byte, b'\r' | b'\n') => {}
            ScanState::Line => {
                // Servers that write a status line for HTTP/2 leave out the minor version.
                if self.at == WITHOUT_MINOR && byte == b' ' {
                    self.line[self.at..][..2].copy_from_slice(b".0");
                    self.at += 2;
                }
                self.line[self.at] = byte;
                self.at += 1;
                if self.at == LENGTH {
                    self.state = judge(&self.line);
                    self.at = 0;
                    if let ScanState::Interim { .. } = self.state {
                        self.interims = self.interims.saturating_add(1);
                    }
                    if let (ScanState::Final(status), b'\n') = (self.state, byte) {
                        self.state = ScanState::Nothing;
                        return Some(status);
                    }
                }
            }
            ScanState::Final(status) if byte == b'\n' => {
                let status = *status;
                self.state = ScanState::Nothing;
                return Some(status);
            }
            ScanState::Final(_) => {}
            ScanState::Interim { feeds } => match byte {
                b'\n' if *feeds == 1 => self.state = ScanState::Line,
                b'\n' => *feeds = 1,
                b'\r' => {}
                _ => *feeds = 0,
            },
        }
        None
    }
}

/// The state that follows the beginning of a status line.
fn judge(line: &[u8; LENGTH]) -> ScanState {
    let [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9', b' ', a, b, c, end] = line else {
        return ScanState::Nothing;
    };
    let digits = [a, b, c].map(|digit| u16::from(*digit) - u16::from(b'0').min(u16::from(*digit)));
    if ![a, b, c].iter().all(|digit| digit.is_ascii_digit()) || !matches!(end, b' ' | b'\r' | b'\n') {
        return ScanState::Nothing;
    }
    match digits[0] * 100 + digits[1] * 10 + digits[2] {
        0..100 => ScanState::Nothing,
        100 | 102..200 => ScanState::Interim { feeds: u8::from(*end == b'\n') },
        status => ScanState::Final(status),
    }
}

/// The status of an answer's head, if that begins with one.
pub(crate) fn status(head: &[u8]) -> Option<u16> {
    StatusScanner::default().scan(head)
}

/// True if this head, which has ended, is of an interim answer: another one comes.
pub(crate) fn is_interim(head: &[u8]) -> bool {
    let mut scanner = StatusScanner::default();
    scanner.scan(head).is_none() && matches!(scanner.state, ScanState::Line)
}

/// True if these bytes on an idle connection say that it is over: some servers and load balancers send `408` before
/// they close one. Nothing is taken for delivered because of it.
pub(crate) fn is_goodbye(bytes: &[u8]) -> bool {
    status(bytes) == Some(408)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard() {
        for (text, observed) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 503 \n", Some(503)),
            ("HTTP/2 200 OK\r\n", Some(200)),
            ("HTTP/2 200\n\nok", Some(200)),
            ("HTTP/2 103 \r\n\r\nHTTP/3 410 \r\n", Some(410)),
            ("HTTP/2.0 503 \r\n", Some(503)),
            ("HTTP/20 200 OK\r\n", None),
            ("HTTP/1.1 410\r\n", Some(410)),
            ("HTTP/1.1 410\nx", Some(410)),
            ("\r\n\r\nHTTP/1.1 204 \u{e9}\u{1}\r\nnonsense", Some(204)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n", Some(201)),
            ("HTTP/1.1 103\na: b\nc: d\n\nHTTP/1.1 202\n", Some(202)),
            ("HTTP/1.1 101 Switching Protocols\r\n", Some(101)),
            ("HTTP/1.1 100 Continue\r\na: HTTP/1.1 200 OK\r\n", None),
            ("HTTP/1.1 200 OK", None),
            ("HTTP/1.1 200", None),
            ("HTTP/1.1 99 Low\r\n\r\n", None),
            ("HTTP/1.1 020 Low\r\n\r\n", None),
            ("HTTP/1.1 2000 High\r\n", None),
            ("HTTP/1.1  200 OK\r\n", None),
            ("ICY 200 OK\r\n", None),
            ("SSH-2.0-OpenSSH_9.2\r\nHTTP/1.1 200 OK\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(text.as_bytes()), observed, "{text:?}");
            let mut scanner = StatusScanner::default();
            let bytes: Vec<_> = text.as_bytes().chunks(1).filter_map(|byte| scanner.scan(byte)).collect();
            assert_eq!(bytes, Vec::from_iter(observed), "{text:?}, byte by byte");
        }
    }
}
