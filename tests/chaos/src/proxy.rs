//! A wire between clients and one broker, which can be cut, slowed, or made to swallow everything.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Read at once, bytes.
const BLOCK: usize = 64 << 10;

/// What happens to bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Open,
    /// Each block comes later by `delay`, and no more than so many bytes pass in a second.
    Slow {
        delay: Duration,
        bytes_per_second: u64,
    },
    /// Nothing passes, and nobody is told; what was on its way arrives when the line opens again.
    Silent,
}

/// Listens on a port of its own and passes on to a target that is named later.
pub struct Proxy {
    port: u16,
    controls: Arc<Controls>,
}

struct Controls {
    target: watch::Sender<String>,
    line: watch::Sender<Line>,
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// # Errors
    /// Where no port of loopback is free.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let controls = Arc::new(Controls {
            target: watch::Sender::new(String::new()),
            line: watch::Sender::new(Line::Open),
            cuts: watch::Sender::new(0),
        });
        tokio::spawn(accept(listener, controls.clone()));
        Ok(Self { port, controls })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` that new connections are passed on to.
    pub fn lead_to(&self, target: String) {
        self.controls.target.send_replace(target);
    }

    /// For connections that are there, and new ones.
    pub fn set(&self, line: Line) {
        self.controls.line.send_replace(line);
    }

    /// Ends every connection that is there.
    pub fn cut(&self) {
        self.controls.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn accept(listener: TcpListener, controls: Arc<Controls>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connect(client, controls.clone()));
    }
}

/// One connection, for as long as both ends and the line last.
async fn connect(client: TcpStream, controls: Arc<Controls>) {
    let mut line = controls.line.subscribe();
    let mut cuts = controls.cuts.subscribe();
    let carried = async {
        if line.wait_for(|it| *it != Line::Silent).await.is_err() {
            return;
        }
        let target = controls.target.borrow().clone();
        // A broker that is away refuses: so does the proxy, by hanging up.
        let Ok(broker) = TcpStream::connect(target).await else {
            return;
        };
        let _ = (client.set_nodelay(true), broker.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_broker, to_broker) = broker.into_split();
        tokio::select! {
            _ = carry(from_client, to_broker, line.clone()) => {}
            _ = carry(from_broker, to_client, line.clone()) => {}
        }
    };
    tokio::select! {
        () = carried => {}
        _ = cuts.changed() => {}
    }
}

/// Until one side ends.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        let count = from.read(&mut block).await?;
        if count == 0 {
            return Ok(());
        }
        let passing = line.wait_for(|it| *it != Line::Silent).await;
        let passing = passing.map_or(Line::Open, |it| *it);
        if let Line::Slow {
            delay,
            bytes_per_second,
        } = passing
        {
            let own = Duration::from_millis(count as u64 * 1000 / bytes_per_second.max(1));
            tokio::time::sleep(delay + own).await;
        }
        to.write_all(block.get(..count).unwrap_or_default()).await?;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    /// A server that says everything back, a proxy before it, and a connection through it.
    async fn world() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let proxy = Proxy::start().await.unwrap();
        proxy.lead_to(target);
        let stream = connected(&proxy).await;
        (proxy, stream)
    }

    async fn connected(proxy: &Proxy) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()))
            .await
            .unwrap()
    }

    async fn says(stream: &mut TcpStream, text: &str) -> io::Result<String> {
        stream.write_all(text.as_bytes()).await?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    #[tokio::test]
    async fn lines_pass_hold_and_break() {
        let (proxy, mut stream) = world().await;
        assert_eq!(says(&mut stream, "open").await.unwrap(), "open");

        proxy.set(Line::Slow {
            delay: Duration::from_millis(50),
            bytes_per_second: 1 << 20,
        });
        let start = Instant::now();
        assert_eq!(says(&mut stream, "slow").await.unwrap(), "slow");
        assert!(start.elapsed() >= Duration::from_millis(100));

        proxy.set(Line::Silent);
        stream.write_all(b"held").await.unwrap();
        let mut held = [0; 4];
        let nothing = timeout(Duration::from_millis(100), stream.read_exact(&mut held)).await;
        assert!(nothing.is_err());
        proxy.set(Line::Open);
        stream.read_exact(&mut held).await.unwrap();
        assert_eq!(&held, b"held");

        proxy.cut();
        assert!(says(&mut stream, "gone").await.is_err());
        let mut again = connected(&proxy).await;
        assert_eq!(says(&mut again, "back").await.unwrap(), "back");
    }

    #[tokio::test]
    async fn a_target_that_is_away_hangs_up() {
        let proxy = Proxy::start().await.unwrap();
        proxy.lead_to("127.0.0.1:1".to_owned());
        let mut stream = connected(&proxy).await;
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    }
}
