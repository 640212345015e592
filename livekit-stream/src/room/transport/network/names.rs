//! Names of STUN and TURN servers, looked up once in a while and not for long.
//!
//! The WebRTC crate looks up every server's name at each change of the media, one after the other, in
//! the task that also reads the sockets: while a name server thinks, no media come.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a name may take. Without it there is one kind of candidate less.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long an answer holds, and a failure.
const MEMORY: Duration = Duration::from_secs(120);

/// Names that are remembered; a server tells some three.
const CAPACITY: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<String, Known>>);

#[derive(Debug)]
struct Known {
    at: Instant,
    /// Empty when it is not known.
    addresses: Vec<SocketAddr>,
}

impl Names {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of `host`: those that are known at `now`, else what `resolving` gives in time.
    pub(super) async fn resolve(
        &self,
        host: &str,
        now: Instant,
        resolving: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    ) -> io::Result<Vec<SocketAddr>> {
        if let Some(known) = self.lock().get(host)
            && now.saturating_duration_since(known.at) < MEMORY
        {
            return match known.addresses.as_slice() {
                [] => Err(io::Error::other("not to be found a moment ago")),
                addresses => Ok(addresses.to_vec()),
            };
        }
        let resolved = tokio::time::timeout(PATIENCE, resolving).await;
        let resolved = resolved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let mut names = self.lock();
        if names.len() >= CAPACITY {
            names.clear();
        }
        let known = Known {
            at: now,
            addresses: resolved.as_ref().cloned().unwrap_or_default(),
        };
        names.insert(host.to_owned(), known);
        resolved
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_name_is_looked_up_once_in_a_while_and_not_for_long() {
        let names = Names::default();
        let now = Instant::now();
        let there: SocketAddr = "192.0.2.1:3478".parse().expect("an address");
        let found = names.resolve("stun:3478", now, ready(Ok(vec![there])));
        assert_eq!(found.await.expect("found"), [there]);
        let later = now + MEMORY / 2;
        let found = names.resolve("stun:3478", later, pending());
        assert_eq!(found.await.expect("known"), [there]);

        let slow = names.resolve("slow:3478", now, pending()).await;
        assert_eq!(slow.expect_err("late").kind(), io::ErrorKind::TimedOut);
        let again = names.resolve("slow:3478", later, ready(Ok(vec![there])));
        assert!(again.await.is_err());
        let again = names.resolve("slow:3478", now + MEMORY, ready(Ok(vec![there])));
        assert_eq!(again.await.expect("found"), [there]);
    }
}
