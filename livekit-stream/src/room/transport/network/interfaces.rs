//! Which of this machine's addresses are used.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::vec;

use rtc::shared::ifaces::ifaces;

/// Tells by its name whether an interface is used.
#[derive(Clone)]
pub(crate) struct InterfaceFilter(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl InterfaceFilter {
    pub(crate) fn new(filter: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(filter))
    }

    /// The addresses of the interfaces that are used.
    fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        let interfaces = ifaces()?;
        let used = interfaces.iter().filter(|it| (self.0)(&it.name));
        Ok(used.filter_map(|it| Some(it.addr?.ip())).collect())
    }

    /// Whether the way to another address leads over an interface that is used.
    pub(super) fn leads_to(&self, other: SocketAddr) -> bool {
        let any: IpAddr = match other {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Connecting a UDP socket sends nothing: it makes the system choose the way.
        let own = UdpSocket::bind((any, 0))
            .and_then(|socket| socket.connect(other).and_then(|()| socket.local_addr()));
        let (Ok(own), Ok(used)) = (own, self.addresses()) else {
            return false;
        };
        used.contains(&own.ip())
    }
}

impl fmt::Debug for InterfaceFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InterfaceFilter")
    }
}

/// Where sockets are bound: at each interface with its own address, looked up anew each time, as
/// the network changes. The WebRTC crate expands the wildcards, without loopback.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(super) loopback: bool,
    pub(super) filter: Option<InterfaceFilter>,
}

impl ToSocketAddrs for Addresses {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let addresses = match &self.filter {
            None => self.all(),
            Some(filter) => {
                let usable = |ip: &IpAddr| is_usable(ip, self.loopback);
                let addresses: Vec<_> = filter.addresses()?.into_iter().filter(usable).collect();
                if addresses.is_empty() {
                    let reason = "the interface filter leaves no address to use";
                    return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, reason));
                }
                addresses
            }
        };
        let any_port = |ip| SocketAddr::new(ip, 0);
        let addresses: Vec<_> = addresses.into_iter().map(any_port).collect();
        Ok(addresses.into_iter())
    }
}

impl Addresses {
    fn all(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::UNSPECIFIED.into()];
        if self.loopback {
            addresses.push(Ipv4Addr::LOCALHOST.into());
        }
        // A machine may have no IPv6 at all.
        if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            addresses.push(Ipv6Addr::UNSPECIFIED.into());
            if self.loopback {
                addresses.push(Ipv6Addr::LOCALHOST.into());
            }
        }
        addresses
    }
}

/// As the WebRTC crate expands wildcards: link-local addresses mean nothing elsewhere.
fn is_usable(ip: &IpAddr, loopback: bool) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !link_local && !ip.is_unspecified() && (loopback || !ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(addresses: &Addresses) -> io::Result<Vec<IpAddr>> {
        Ok(addresses.to_socket_addrs()?.map(|it| it.ip()).collect())
    }

    #[test]
    fn only_the_interfaces_that_pass_are_bound_and_led_over() {
        let loopback = |ip: &IpAddr| ip.is_loopback();
        let names: Vec<String> = ifaces()
            .expect("the interfaces")
            .into_iter()
            .filter(|it| it.addr.is_some_and(|at| loopback(&at.ip())))
            .map(|it| it.name)
            .collect();
        let filter = InterfaceFilter::new(move |name| names.iter().any(|it| it == name));
        let addresses = |loopback| Addresses {
            loopback,
            filter: Some(filter.clone()),
        };
        let bound = ips(&addresses(true)).expect("loopback");
        assert!(!bound.is_empty() && bound.iter().all(loopback), "{bound:?}");
        assert!(ips(&addresses(false)).is_err());
        assert!(filter.leads_to(([127, 0, 0, 1], 9).into()));
        assert!(!InterfaceFilter::new(|_| false).leads_to(([127, 0, 0, 1], 9).into()));
    }

    #[test]
    fn addresses_that_mean_nothing_to_others_are_left_out() {
        let usable = |text: &str| is_usable(&text.parse().expect("an address"), false);
        assert!(usable("192.0.2.1") && usable("2001:db8::1"));
        for text in ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0"] {
            assert!(!usable(text), "{text}");
        }
    }
}
