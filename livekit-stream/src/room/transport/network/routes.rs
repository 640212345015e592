//! Names and addresses that do not exist, and the TURN servers they stand for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rtc::ice::url::{ProtoType, SchemeType, Url};

/// No name of the net ends so (RFC 6761 section 6.4).
const SUFFIX: &str = ".turn.invalid";

/// Servers and addresses that are remembered for one connection. There are a handful at a time, and
/// others after a resume, as names resolve to others.
const MOST: usize = 256;

/// A TURN server that is reached over a byte stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

/// One of a server's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) server: Server,
    pub(super) address: SocketAddr,
}

#[derive(Debug, Default)]
struct State {
    servers: Latest<Server>,
    targets: Latest<Target>,
}

/// The latest items, each at a place of its own.
#[derive(Debug)]
struct Latest<T> {
    items: Vec<T>,
    /// The place of the next one, once there are as many as there may be.
    next: usize,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            next: 0,
        }
    }
}

impl<T: PartialEq> Latest<T> {
    /// The place of an item, which is added if it is new, instead of the oldest if there is no room.
    fn place(&mut self, item: T) -> usize {
        if let Some(place) = self.items.iter().position(|it| *it == item) {
            return place;
        }
        if self.items.len() < MOST {
            self.items.push(item);
            return self.items.len() - 1;
        }
        let place = self.next;
        self.items[place] = item;
        self.next = (place + 1) % MOST;
        place
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Routes(Mutex<State>);

impl Routes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().servers.items.is_empty()
    }

    /// The URL that the WebRTC crate is given for a server's own; `None` for one that makes no
    /// sense, which would keep it from all the others.
    pub(super) fn stand_in(&self, url: &str) -> Option<String> {
        let parsed = match Url::parse_url(url) {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::warn!(url, %error, "ignoring a malformed URL of an ICE server");
                return None;
            }
        };
        let tls = match (parsed.scheme, parsed.proto) {
            (SchemeType::Turn, ProtoType::Tcp) => false,
            (SchemeType::Turns, ProtoType::Tcp) => true,
            _ => return Some(url.to_owned()),
        };
        let port = parsed.port;
        let server = Server {
            host: parsed.host,
            port,
            tls,
        };
        let index = self.state().servers.place(server);
        Some(format!("turn:{index}{SUFFIX}:{port}?transport=udp"))
    }

    /// The server that a name and port stand for, and its own name and port.
    pub(super) fn named(&self, host: &str) -> Option<(Server, String)> {
        let (name, _) = host.rsplit_once(':')?;
        let index: usize = name.strip_suffix(SUFFIX)?.parse().ok()?;
        let server = self.state().servers.items.get(index)?.clone();
        let address = match server.host.parse() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", server.port),
            _ => format!("{}:{}", server.host, server.port),
        };
        Some((server, address))
    }

    /// The addresses that stand for those of a server, of the same families.
    pub(super) fn addresses(&self, server: &Server, own: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let mut state = self.state();
        let stand_in = |address: SocketAddr| {
            let server = server.clone();
            let index = state.targets.place(Target { server, address }) as u16;
            let ip: IpAddr = match address {
                // Reserved (RFC 1112 section 4), and discard-only (RFC 6666).
                SocketAddr::V4(_) => Ipv4Addr::from_bits(0xF000_0000 | u32::from(index)).into(),
                SocketAddr::V6(_) => Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, index).into(),
            };
            SocketAddr::new(ip, address.port())
        };
        own.into_iter().map(stand_in).collect()
    }

    /// What an address stands for.
    pub(super) fn target(&self, address: SocketAddr) -> Option<Target> {
        let index = stand_in_index(address)?;
        self.state().targets.items.get(index).cloned()
    }
}

/// Whether an address may stand for another.
pub(super) fn stands_in(address: SocketAddr) -> bool {
    stand_in_index(address).is_some()
}

fn stand_in_index(address: SocketAddr) -> Option<usize> {
    match address.ip() {
        IpAddr::V4(ip) if ip.octets()[0] == 0xF0 => Some((ip.to_bits() & 0x00FF_FFFF) as usize),
        IpAddr::V6(ip) if ip.segments()[..7] == [0x100, 0, 0, 0, 0, 0, 0] => {
            Some(ip.segments()[7].into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_of_streams_are_stood_in_for() {
        let routes = Routes::default();
        for url in [
            "stun:example.org:3478",
            "turn:example.org:3478?transport=udp",
            "turns:example.org?transport=udp",
        ] {
            assert_eq!(routes.stand_in(url).as_deref(), Some(url));
        }
        assert!(routes.is_empty());
        for url in [
            "http://example.org",
            "turn:example.org?transport=x",
            "turn:",
        ] {
            assert_eq!(routes.stand_in(url), None, "{url}");
        }
        let tcp = routes.stand_in("turn:example.org?transport=tcp");
        assert_eq!(
            tcp.as_deref(),
            Some("turn:0.turn.invalid:3478?transport=udp")
        );
        let tls = routes.stand_in("turns:[2001:db8::1]:443");
        assert_eq!(
            tls.as_deref(),
            Some("turn:1.turn.invalid:443?transport=udp")
        );
        // The same server again.
        assert_eq!(routes.stand_in("turn:example.org?transport=tcp"), tcp);

        assert!(routes.named("example.org:3478").is_none());
        assert!(routes.named("7.turn.invalid:443").is_none());
        let (server, address) = routes.named("1.turn.invalid:443").expect("the server");
        assert!(server.tls);
        assert_eq!(address, "[2001:db8::1]:443");
    }

    #[test]
    fn an_address_stands_for_one_of_its_family() {
        let routes = Routes::default();
        let server = Server {
            host: "example.org".to_owned(),
            port: 443,
            tls: true,
        };
        let own: Vec<SocketAddr> = ["192.0.2.1:443", "[2001:db8::1]:443"]
            .map(|it| it.parse().expect("an address"))
            .into();
        let addresses = routes.addresses(&server, own.clone());
        assert_eq!(routes.addresses(&server, own.clone()), addresses);
        for (address, own) in addresses.iter().zip(own) {
            assert_eq!(address.is_ipv4(), own.is_ipv4());
            let target = routes.target(*address).expect("a target");
            assert_eq!(target.address, own);
            assert!(routes.target(own).is_none());
        }
        assert!(routes.target(([240, 0, 0, 9], 443).into()).is_none());
    }

    #[test]
    fn the_oldest_make_room_and_the_latest_keep_their_places() {
        let mut latest = Latest::default();
        let places: Vec<_> = (0..MOST + 2).map(|item| latest.place(item)).collect();
        assert_eq!(places[MOST - 1..], [MOST - 1, 0, 1]);
        assert_eq!(latest.items.len(), MOST);
        assert_eq!(latest.place(MOST), 0);
        assert_eq!(latest.place(5), 5);
        assert_eq!(latest.place(0), 2);
    }
}
