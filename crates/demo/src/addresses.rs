//! Loopback addresses for one demo: 127.A.B.*, so that several demos do not meet.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Everything but the API server listens on this port, each on an address of its own.
pub(crate) const PORT: u16 = 8080;
const API_PORT: u16 = 6443;
/// The last part of the first pod's address.
const FIRST_POD: u8 = 101;
/// So many pods may have an address.
pub(crate) const MOST_PODS: u32 = 100;
/// Networks that are tried.
const TRIES: u32 = 20;

/// The addresses of one demo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    network: [u8; 2],
}

/// No address can be had.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}: {source}; the demo needs addresses in 127.0.0.0/8, as Linux has them")]
pub(crate) struct NoAddress {
    address: SocketAddr,
    source: std::io::Error,
}

impl Addresses {
    /// A network nobody uses; `seed`: where to begin to look.
    pub(crate) fn find(seed: u32) -> Result<Self, NoAddress> {
        let mut tried = 0;
        loop {
            // Spread over 127.64.0.0 to 127.127.255.0: other software tends to use the lower ones.
            let number = seed.wrapping_add(tried).wrapping_mul(40_503) % 16_384;
            let [_, _, high, low] = number.to_be_bytes();
            let found = Self { network: [64 + high, low] };
            match found.is_free() {
                Err(_) if tried + 1 < TRIES => tried += 1,
                outcome => return outcome.map(|()| found),
            }
        }
    }

    fn is_free(self) -> Result<(), NoAddress> {
        for address in [self.api(), self.service(), self.replica(0), self.replica(1)] {
            TcpListener::bind(address).map_err(|source| NoAddress { address, source })?;
        }
        Ok(())
    }

    fn ip(self, last: u8) -> Ipv4Addr {
        let [high, low] = self.network;
        Ipv4Addr::new(127, high, low, last)
    }

    /// The modelled API server.
    pub(crate) fn api(self) -> SocketAddr {
        (self.ip(1), API_PORT).into()
    }

    /// The Service.
    pub(crate) fn service(self) -> SocketAddr {
        (self.ip(10), PORT).into()
    }

    /// The admin server of a replica of hotstandby.
    pub(crate) fn replica(self, index: u8) -> SocketAddr {
        (self.ip(2 + index), PORT).into()
    }

    /// The first pod.
    pub(crate) fn first_pod(self) -> Ipv4Addr {
        self.ip(FIRST_POD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_demos_at_once_do_not_meet() {
        let first = Addresses::find(7).unwrap();
        let _held = TcpListener::bind(first.api()).unwrap();
        let second = Addresses::find(7).unwrap();
        assert_ne!(first.network, second.network);
        assert!(second.api().ip().is_loopback());
    }
}
