//! Reads a body whole, within a bound and a time.

use std::{pin::pin, time::Duration};

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError};
use tokio::time::timeout;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body could not be read whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// The body is longer than this many bytes.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// The body did not arrive within this time.
    #[error("the body did not arrive within {0:?}")]
    TimedOut(Duration),
    /// The body ended with this error.
    #[error(transparent)]
    Broken(BoxError),
}

/// All bytes of a body of at most `bytes_max`, if they arrive within `wait`. They are not copied if they arrive in one
/// frame.
///
/// A body that an outer layer has bounded, and that fails at this bound, is too long as well.
pub(crate) async fn read<B>(body: B, bytes_max: usize, wait: Duration) -> Result<Bytes, Unread>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    timeout(wait, all(body, bytes_max)).await.unwrap_or(Err(Unread::TimedOut(wait)))
}

async fn all<B>(body: B, bytes_max: usize) -> Result<Bytes, Unread>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    // A list of frames would take a multiple of the bound if a caller sends single bytes.
    let (mut first, mut joined) = (Bytes::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(|error| broken(error.into(), bytes_max))?.into_data()
        else {
            continue;
        };
        let length = first.len().saturating_add(joined.len()).saturating_add(data.remaining());
        if length > bytes_max {
            return Err(Unread::TooLong(bytes_max));
        }
        // `Bytes` gives itself here, without a copy.
        let data = data.copy_to_bytes(data.remaining());
        if first.is_empty() && joined.is_empty() {
            first = data;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&data);
        }
    }
    // Boxed, so that the room in which the bytes grew is not kept for as long as they are.
    Ok(if joined.is_empty() { first } else { joined.into_boxed_slice().into() })
}

#[cold]
fn broken(error: BoxError, bytes_max: usize) -> Unread {
    if error.is::<LengthLimitError>() { Unread::TooLong(bytes_max) } else { Unread::Broken(error) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http::HeaderMap;
    use http_body::Frame;
    use http_body_util::{Full, Limited, StreamBody};

    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    fn frames(
        frames: impl IntoIterator<Item = &'static str>,
    ) -> impl Body<Data = Bytes, Error = Infallible> {
        let frames: Vec<_> = frames
            .into_iter()
            .map(|data| Ok(Frame::data(Bytes::from_static(data.as_bytes()))))
            .collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn all_frames_of_a_body_are_joined_in_their_order() {
        let cases: [(&[&str], &str); 4] =
            [(&[], ""), (&["one"], "one"), (&["", "a", "", "b", "c"], "abc"), (&["", ""], "")];
        for (sent, whole) in cases {
            assert_eq!(
                read(frames(sent.iter().copied()), 3, WAIT).await.unwrap(),
                whole,
                "{sent:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_in_one_frame_is_not_copied() {
        let sent = Bytes::from(vec![b'x'; 100]);
        let body = Full::new(sent.clone());
        assert_eq!(read(body, 100, WAIT).await.unwrap().as_ptr(), sent.as_ptr());
    }

    #[tokio::test]
    async fn trailers_are_no_part_of_the_bytes() {
        let sent: [Result<_, Infallible>; 3] = [
            Ok(Frame::data(Bytes::from_static(b"a"))),
            Ok(Frame::data(Bytes::from_static(b"b"))),
            Ok(Frame::trailers(HeaderMap::new())),
        ];
        let body = StreamBody::new(stream::iter(sent));
        assert_eq!(read(body, 2, WAIT).await.unwrap(), "ab");
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound_and_not_a_byte_further() {
        for sent in [&["abcd"][..], &["ab", "cd"]] {
            let sent = sent.iter().copied();
            assert_eq!(read(frames(sent.clone()), 4, WAIT).await.unwrap(), "abcd");
            let endless = frames(sent).chain_pending();
            assert!(matches!(read(endless, 3, WAIT).await, Err(Unread::TooLong(3))));
        }
    }

    #[tokio::test]
    async fn a_bound_of_an_outer_layer_counts_as_too_long() {
        let body = Limited::new(frames(["abcd"]), 3);
        assert!(matches!(read(body, 100, WAIT).await, Err(Unread::TooLong(100))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_in_time_is_given_up() {
        let body = frames(["ab"]).chain_pending();
        assert!(matches!(read(body, 100, WAIT).await, Err(Unread::TimedOut(WAIT))));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_gives_its_own_error() {
        let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"ab")))]);
        let body = StreamBody::new(first.chain(stream::iter([Err("the line is cut")])));
        let unread = read(body, 100, WAIT).await.unwrap_err();
        assert!(matches!(&unread, Unread::Broken(_)) && unread.to_string() == "the line is cut");
    }

    trait ChainPending: Body<Data = Bytes, Error = Infallible> + Sized {
        /// This body, without its end.
        fn chain_pending(self) -> impl Body<Data = Bytes, Error = Infallible> {
            let frames = self.into_data_stream().map(|data| data.map(Frame::data));
            StreamBody::new(frames.chain(stream::pending()))
        }
    }

    impl<B: Body<Data = Bytes, Error = Infallible>> ChainPending for B {}
}
