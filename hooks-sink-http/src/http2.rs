//! What HTTP/2 alone has.

use std::error::Error;
use std::time::Duration;

use hyper_util::client::legacy::Builder;

use crate::config::HttpVersion;
use crate::transport::find;

/// With a request in flight, the receiver is asked this often whether it is still there, and has as long to answer.
const ALIVE: Duration = Duration::from_secs(5);

/// Longest head of an answer, about as long as that of HTTP/1.1 may be.
const MAX_HEAD: u32 = 400 << 10;

/// Sets a client up.
pub(crate) fn set(client: &mut Builder, version: HttpVersion) {
    client
        // A shared connection that died in silence takes no further attempt after this.
        .http2_keep_alive_interval(ALIVE)
        .http2_keep_alive_timeout(ALIVE)
        .http2_max_header_list_size(MAX_HEAD)
        .http2_only(version == HttpVersion::Http2);
}

/// True if HTTP/2 caused an error.
pub(crate) fn is_of(error: &(dyn Error + 'static)) -> bool {
    find::<h2::Error>(error).is_some()
}

/// True if the receiver says that it did nothing with the request, so that it is safe to send it again at once
/// (RFC 9113, section 8.7): it refused the stream, or it closes the connection in good order and the stream came later.
pub(crate) fn is_unprocessed(error: &(dyn Error + 'static)) -> bool {
    find::<h2::Error>(error).is_some_and(|error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let left_out = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (refused || left_out)
    })
}

/// True if an answer came that must not be accepted (RFC 9113, section 8.1.1), whatever its status.
pub(crate) fn is_malformed(error: &(dyn Error + 'static)) -> bool {
    find::<h2::Error>(error).is_some_and(|error| error.is_reset() && error.is_library())
}
