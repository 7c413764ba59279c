//! Workers in memory whose output the test can write to at any moment.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use ostler_pool::WorkerId;
use ostler_pool::port::{BoxFuture, Exit, ExitStatus, OpenError, Opener, Pipe, Port, Release};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::watch;

type Output = Arc<tokio::sync::Mutex<WriteHalf<DuplexStream>>>;

/// Opens workers that answer each request with the request itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Puppets {
    outputs: Arc<Mutex<Vec<Output>>>,
}

impl Puppets {
    /// Writes these bytes as the worker that was opened at this place, and waits for nothing.
    pub(crate) fn write(&self, worker: usize, bytes: &[u8]) {
        let output = Arc::clone(&self.outputs.lock().unwrap()[worker]);
        let mut output = output.try_lock().expect("the worker does not write");
        let written = output.write_all(bytes).now_or_never();
        written.expect("there is room").expect("the pipe is open");
    }

    pub(crate) fn opened(&self) -> usize {
        self.outputs.lock().unwrap().len()
    }
}

impl Opener for Puppets {
    fn open(&self, _: WorkerId) -> BoxFuture<'_, Result<Box<dyn Port>, OpenError>> {
        let (host, worker) = tokio::io::duplex(64 * 1024);
        let (input, output) = tokio::io::split(worker);
        let output = Arc::new(tokio::sync::Mutex::new(output));
        self.outputs.lock().unwrap().push(Arc::clone(&output));
        let exited = watch::Sender::new(false);
        let ended = exited.clone();
        tokio::spawn(async move {
            serve(input, output).await;
            ended.send_replace(true);
        });
        let host = Some(host);
        Box::pin(async { Ok(Box::new(Puppet { host, exited }) as Box<dyn Port>) })
    }
}

#[derive(Debug)]
struct Puppet {
    host: Option<DuplexStream>,
    exited: watch::Sender<bool>,
}

impl Port for Puppet {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn take_pipe(&mut self) -> Pipe {
        let (reader, writer) = tokio::io::split(self.host.take().expect("it is taken once"));
        Pipe::new(reader, writer)
    }

    fn terminate(&mut self) {
        self.exited.send_replace(true);
    }

    fn kill(&mut self) {
        self.exited.send_replace(true);
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        let mut exited = self.exited.subscribe();
        Box::pin(async move {
            let _ = exited.wait_for(|exited| *exited).await;
            Exit::new(ExitStatus::Code(0), "")
        })
    }

    fn released(&mut self) -> BoxFuture<'_, Release> {
        Box::pin(async { Release::new(0, None) })
    }
}

/// Answers until a shutdown frame or the end of the input.
async fn serve(mut input: ReadHalf<DuplexStream>, output: Output) {
    while let Ok(length) = input.read_u32().await {
        let mut frame = vec![0; length as usize];
        if input.read_exact(&mut frame).await.is_err() {
            return;
        }
        let reply: &[u8] = match frame[0] {
            1 => &[128, 0, 0, 0, 0, 0, 0, 0, 1],
            2 => {
                frame[0] = 129;
                &frame
            }
            4 => {
                frame[0] = 131;
                &frame
            }
            _ => return,
        };
        let answer = [&(reply.len() as u32).to_be_bytes(), reply].concat();
        if output.lock().await.write_all(&answer).await.is_err() {
            return;
        }
    }
}
