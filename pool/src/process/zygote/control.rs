//! The socket between this host and a zygote: lines of text, some of them with descriptors.
//!
//! ```text
//! host    fork <tag> <env> with the worker's stdin, stdout and stderr. The environment variables
//!                          that only this worker has, each as NAME=VALUE and a zero byte, in hex
//! zygote  forked <pid>     it leads a group of its own
//!         failed <reason>
//! host    status <pid>     of a child that has exited
//! zygote  code <number>    or: signal <number>, unknown
//! host    reap <pid>
//! zygote  reaped           its group was killed first
//!         alive            it was killed with its group, and has not ended yet: ask again
//!         unknown          it is no child any more, and was not signalled
//! ```
//!
//! The zygote's first line is `ready`. It exits when the socket is closed, or when its parent has
//! ended: a fork of this host keeps the socket open.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, sendmsg};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::process::system::NO_SIGNAL;
use crate::process::tree::EnvTag;

/// How long a zygote may take to answer. A fork takes milliseconds, so a zygote that takes longer
/// is stopped or broken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest line of a zygote, in bytes.
const MAX_LINE: usize = 1024;

/// The longest line of the host, in bytes: less than an empty socket takes at once.
const MAX_FORK: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Control {
    socket: UnixStream,
    /// The part of the next line that has arrived.
    line: Vec<u8>,
}

impl Control {
    /// A socket, and its other end, which is for the zygote.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (host, zygote) = net::UnixStream::pair()?;
        host.set_nonblocking(true)?;
        let control = Self {
            socket: UnixStream::from_std(host)?,
            line: Vec::new(),
        };
        Ok((control, zygote.into()))
    }

    /// Sends the bytes that the zygote reads before the first line.
    pub(super) async fn preamble(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.socket.writable().await?;
            match self.socket.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends a line with descriptors, and waits for the line that answers it. Not cancel safe: a
    /// late answer would be taken for that of the next line.
    pub(super) async fn ask(&mut self, line: &str, descriptors: &[OwnedFd]) -> io::Result<String> {
        let late = || {
            io::Error::new(
                io::ErrorKind::TimedOut,
                // Without what follows: the environment may be long, and secret.
                format!(
                    "the zygote did not answer `{}` within {} s",
                    line.split(' ').next().unwrap_or_default(),
                    ANSWER_TIMEOUT.as_secs()
                ),
            )
        };
        let answer = async {
            self.send(line, descriptors).await?;
            self.receive().await
        };
        timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| late())?
    }

    async fn send(&self, line: &str, descriptors: &[OwnedFd]) -> io::Result<()> {
        let line = format!("{line}\n");
        let descriptors: Vec<_> = descriptors.iter().map(OwnedFd::as_fd).collect();
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                beside.push(SendAncillaryMessage::ScmRights(&descriptors));
            }
            let line = [IoSlice::new(line.as_bytes())];
            Ok(sendmsg(&self.socket, &line, &mut beside, NO_SIGNAL)?)
        };
        // The socket is empty when a line is sent, so it takes the whole line.
        let sent = self.socket.async_io(Interest::WRITABLE, send).await?;
        if sent == line.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// Receives the next line. Cancel safe.
    pub(super) async fn receive(&mut self) -> io::Result<String> {
        let mut buffer = [0; MAX_LINE];
        loop {
            if let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&self.line[..end]).into_owned();
                self.line.drain(..=end);
                return Ok(line);
            }
            if self.line.len() > MAX_LINE {
                return Err(io::Error::other("the zygote sent a line that is too long"));
            }
            self.socket.readable().await?;
            match self.socket.try_read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.line.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The line that has a worker forked.
///
/// # Errors
///
/// `E2BIG` if the environment is too long.
pub(super) fn fork(tag: &EnvTag, env: &[(OsString, OsString)]) -> io::Result<String> {
    let mut line = format!("fork {} ", tag.as_str());
    for (name, value) in env {
        for part in [name.as_bytes(), b"=", value.as_bytes(), b"\0"] {
            line.extend(part.iter().map(|byte| format!("{byte:02x}")));
        }
    }
    if line.len() > MAX_FORK {
        return Err(Errno::TOOBIG.into());
    }
    Ok(line)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Read as _, Write as _};

    use futures_util::FutureExt as _;

    use super::*;

    fn pair() -> (Control, net::UnixStream) {
        let (control, zygote) = Control::new().unwrap();
        (control, zygote.into())
    }

    /// M1: a zygote may send lines of 1 KiB. A longer one is an error, and is not kept.
    #[tokio::test]
    async fn a_line_has_a_limit() {
        let (mut control, mut zygote) = pair();
        let longest = "x".repeat(MAX_LINE);
        writeln!(zygote, "{longest}").unwrap();
        assert_eq!(control.receive().await.unwrap(), longest);
        write!(zygote, "{longest}xx").unwrap();
        let error = control.receive().await.unwrap_err();
        assert_eq!(error.to_string(), "the zygote sent a line that is too long");
    }

    /// P26: the zygote gets the whole preamble, even if it does not fit into the socket at once.
    #[tokio::test]
    async fn a_preamble_is_sent_whole() {
        let (control, mut zygote) = pair();
        let sent: Vec<u8> = (0..1 << 22).map(|at: u32| at.to_le_bytes()[1]).collect();
        let mut sending = Box::pin(control.preamble(&sent));
        assert!(sending.as_mut().now_or_never().is_none());
        let read = std::thread::spawn(move || {
            let mut read = vec![0; 1 << 22];
            zygote.read_exact(&mut read).map(|()| read)
        });
        sending.await.unwrap();
        assert!(read.join().unwrap().unwrap() == sent);
    }

    /// P26: a zygote that does not answer is an error, which shows no environment.
    #[tokio::test(start_paused = true)]
    async fn a_late_answer_is_an_error() {
        let (mut control, _zygote) = pair();
        let error = control
            .ask("fork tag 5345435245540a", &[])
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the zygote did not answer `fork` within 5 s"
        );
    }

    /// P26: an error of the socket ends what waits for the zygote.
    #[tokio::test]
    async fn a_closed_socket_is_an_error() {
        let (mut control, zygote) = pair();
        control.send("unread", &[]).await.unwrap();
        drop(zygote);
        let error = control.receive().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        let error = control.preamble(b"code").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
