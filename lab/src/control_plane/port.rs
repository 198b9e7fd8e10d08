use std::net::{Ipv4Addr, SocketAddrV4};

use tokio::net::TcpSocket;

use super::Error;

/// A port of the loopback address that nobody else is given.
///
/// A socket that is bound but never listens holds it. It takes no connections away:
/// the process that is to have the port shares it by `SO_REUSEPORT`, for which both
/// etcd and kube-apiserver have a flag, and is the only one that listens.
#[derive(Debug)]
pub(super) struct ReservedPort {
    number: u16,
    _socket: TcpSocket,
}

impl ReservedPort {
    pub(super) fn take() -> Result<Self, Error> {
        let failed = "reserve a port";
        let socket = TcpSocket::new_v4().map_err(Error::io(failed))?;
        socket.set_reuseport(true).map_err(Error::io(failed))?;
        socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into()).map_err(Error::io(failed))?;
        let number = socket.local_addr().map_err(Error::io(failed))?.port();
        Ok(Self { number, _socket: socket })
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }
}
