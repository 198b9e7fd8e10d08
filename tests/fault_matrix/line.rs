//! A TCP line to a server that stays: it can be cut, so that connections are refused, go silent, and come back on the
//! same port.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

pub(crate) struct Line {
    /// Where it begins.
    pub(crate) address: SocketAddr,
    to: SocketAddr,
    /// Holds the port. It never listens, so that connections are refused where nobody else does.
    _port: TcpSocket,
    task: Option<JoinHandle<()>>,
}

impl Line {
    pub(crate) fn to(to: SocketAddr) -> Self {
        let port = socket("127.0.0.1:0".parse().unwrap());
        let address = port.local_addr().unwrap();
        let mut line = Self { address, to, _port: port, task: None };
        line.restore();
        line
    }

    /// Refuses connections, and ends those that there are.
    pub(crate) async fn cut(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // It is gone, and its listener with it, once this returns.
            let _ = task.await;
        }
    }

    /// Takes connections, and says nothing on them.
    pub(crate) async fn silence(&mut self) {
        self.cut().await;
        self.task = Some(tokio::spawn(hold(self.listener())));
    }

    /// Leads to the server again.
    pub(crate) fn restore(&mut self) {
        assert!(self.task.is_none(), "it is not cut");
        self.task = Some(tokio::spawn(forward(self.listener(), self.to)));
    }

    fn listener(&self) -> TcpListener {
        socket(self.address).listen(1024).unwrap()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn forward(listener: TcpListener, to: SocketAddr) {
    // Dropped with this task, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        let (mut here, _) = listener.accept().await.unwrap();
        here.set_nodelay(true).unwrap();
        connections.spawn(async move {
            let mut there = TcpStream::connect(to).await.unwrap();
            there.set_nodelay(true).unwrap();
            // That one side ends is how connections end.
            let _ = copy_bidirectional(&mut here, &mut there).await;
        });
    }
}

async fn hold(listener: TcpListener) {
    let mut connections = Vec::new();
    loop {
        connections.push(listener.accept().await.unwrap());
    }
}
