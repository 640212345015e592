//! `rtmp://` and `rtmps://` addresses.

use std::fmt;
use std::net::Ipv6Addr;

const RTMP_PORT: u16 = 1935;
const RTMPS_PORT: u16 = 443;

/// Where to publish: `rtmp://host[:port]/app[/instance]/key[?query]`, or `rtmps://`.
///
/// The last segment of the path with the query is the stream key, all before it the application,
/// as FFmpeg and OBS read it. A key in `app?auth=x/key` is found as well. `user:password@` is
/// accepted and not sent: RTMP has no authentication of its own.
///
/// `Debug` and `Display` hide the key, the queries and the password.
///
/// ```
/// use livekit_stream::rtmp::RtmpUrl;
///
/// let url: RtmpUrl = "rtmps://live.example.com/app/secret?token=1".parse()?;
/// assert_eq!((url.host(), url.port(), url.app()), ("live.example.com", 443, "app"));
/// assert_eq!(url.key(), "secret?token=1");
/// assert_eq!(url.to_string(), "rtmps://live.example.com/app/***");
/// # Ok::<(), livekit_stream::rtmp::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RtmpUrl {
    tls: bool,
    host: String,
    port: u16,
    app: String,
    key: String,
}

/// Text is not an address to publish to. No variant holds a part that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Another scheme than `rtmp` or `rtmps`, or none.
    #[error("the URL starts with {scheme:?}, not with rtmp:// or rtmps://")]
    WrongScheme {
        /// The scheme; empty when there is none.
        scheme: String,
    },
    /// No host.
    #[error("the RTMP URL has no host: rtmp://HOST[:PORT]/APP/KEY is needed")]
    MissingHost,
    /// The host is neither a name nor an address.
    #[error("{host:?} is not a host name or an address")]
    InvalidHost {
        /// The host.
        host: String,
    },
    /// The port is not in 1..=65535.
    #[error("port {port:?} is not a number in 1..=65535")]
    InvalidPort {
        /// The port; `***` when it is not a number.
        port: String,
    },
    /// No application.
    #[error("the RTMP URL of {host} has no application: rtmp://HOST[:PORT]/APP/KEY is needed")]
    MissingApp {
        /// The host.
        host: String,
    },
    /// No stream key.
    #[error("the RTMP URL of {host} has no stream key: rtmp://HOST[:PORT]/APP/KEY is needed")]
    MissingKey {
        /// The host.
        host: String,
    },
    /// A space or a control character.
    #[error("the RTMP URL has a space or a control character at byte {position}")]
    InvalidCharacter {
        /// Where.
        position: usize,
    },
}

impl RtmpUrl {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some((position, _)) = text
            .char_indices()
            .find(|(_, c)| c.is_control() || c.is_whitespace())
        {
            return Err(UrlError::InvalidCharacter { position });
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => false,
            "rtmps" => true,
            _ => return Err(wrong_scheme(scheme)),
        };
        let (authority, path) = match rest.find(['/', '?']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        let authority = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let (host, port) = host_and_port(authority)?;
        let default = if tls { RTMPS_PORT } else { RTMP_PORT };
        let (app, key) = app_and_key(path, &host)?;
        Ok(Self {
            tls,
            port: port.unwrap_or(default),
            app,
            key,
            host,
        })
    }

    /// Whether the connection is encrypted: `rtmps://`.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The host's name or address; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port: 1935, or 443 for `rtmps://`, if the address has none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The application, with its instance. It may hold a query: not for logs.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The stream key with its query. **A secret**: not for logs.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What `connect` names as `tcUrl`: the address without the key. It may hold a query: not for
    /// logs.
    #[must_use]
    pub fn tc_url(&self) -> String {
        format!("{}/{}", self.origin(), self.app)
    }

    /// `text` with every occurrence of the key and of the queries' values replaced by `***`.
    /// Servers quote the key in what they say to people.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut secrets = vec![self.key.as_str()];
        for part in [self.key.as_str(), self.app.as_str()] {
            let (name, query) = part.split_once('?').unwrap_or((part, ""));
            if part == self.key {
                secrets.push(name);
            }
            secrets.push(query);
            secrets.extend(
                query
                    .split('&')
                    .filter_map(|pair| pair.split_once('='))
                    .map(|(_, value)| value)
                    // A value such as `1` would hide half of every message and is no secret.
                    .filter(|value| value.len() >= 4),
            );
        }
        secrets.retain(|secret| !secret.is_empty());
        // Longest first, or a part would break the whole up.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    /// Scheme, host and port, the port only when it is not the default.
    fn origin(&self) -> String {
        let (scheme, default) = if self.tls {
            ("rtmps", RTMPS_PORT)
        } else {
            ("rtmp", RTMP_PORT)
        };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == default {
            format!("{scheme}://{host}")
        } else {
            format!("{scheme}://{host}:{}", self.port)
        }
    }
}

fn wrong_scheme(scheme: &str) -> UrlError {
    // Only what may be a scheme is shown (RFC 3986 section 3.1): the text may be a bare key.
    let is_scheme = scheme.len() <= 16
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    UrlError::WrongScheme {
        scheme: if is_scheme { scheme } else { "***" }.to_owned(),
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or_else(|| UrlError::InvalidHost {
            host: authority.to_owned(),
        })?;
        if address.parse::<Ipv6Addr>().is_err() || !(port.is_empty() || port.starts_with(':')) {
            return Err(UrlError::InvalidHost {
                host: authority.to_owned(),
            });
        }
        (address, port.strip_prefix(':'))
    } else {
        let (host, port) = authority
            .split_once(':')
            .map_or((authority, None), |(host, port)| (host, Some(port)));
        if host
            .chars()
            .any(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'))
        {
            return Err(UrlError::InvalidHost {
                host: host.to_owned(),
            });
        }
        (host, port)
    };
    if host.is_empty() {
        return Err(UrlError::MissingHost);
    }
    let port = port.filter(|port| !port.is_empty()).map(|port| {
        port.parse::<u16>()
            .ok()
            .filter(|&port| port != 0)
            .ok_or_else(|| UrlError::InvalidPort {
                // What is no number may be a password that lost its `@`.
                port: if port.bytes().all(|byte| byte.is_ascii_digit()) {
                    port.to_owned()
                } else {
                    "***".to_owned()
                },
            })
    });
    Ok((host.to_owned(), port.transpose()?))
}

fn app_and_key(path: &str, host: &str) -> Result<(String, String), UrlError> {
    let missing_app = || UrlError::MissingApp {
        host: host.to_owned(),
    };
    let missing_key = || UrlError::MissingKey {
        host: host.to_owned(),
    };
    let path = path.strip_prefix('/').ok_or_else(missing_app)?;
    let before_query = path.find('?').unwrap_or(path.len());
    // The key's query may hold slashes, so only those before it count; if there is none, the
    // query is the application's.
    let slash = path
        .get(..before_query)
        .and_then(|path| path.rfind('/'))
        .or_else(|| path.rfind('/'));
    let (app, key) = match slash.and_then(|at| path.split_at_checked(at)) {
        Some((app, key)) => (app, key.strip_prefix('/').unwrap_or(key)),
        None => (path, ""),
    };
    let app = app.trim_end_matches('/');
    if app.is_empty() || app.starts_with('?') {
        return Err(missing_app());
    }
    if key.is_empty() || key.starts_with('?') {
        return Err(missing_key());
    }
    Ok((app.to_owned(), key.to_owned()))
}

impl std::str::FromStr for RtmpUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.app.split_once('?') {
            Some((app, _)) => write!(f, "{}/{app}?***/***", self.origin()),
            None => write!(f, "{}/{}/***", self.origin(), self.app),
        }
    }
}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RtmpUrl({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_the_field_are_split_as_ffmpeg_and_obs_split_them() {
        for (text, host, port, app, key, tc_url) in [
            (
                "rtmp://a.rtmp.youtube.com/live2/abcd-efgh",
                "a.rtmp.youtube.com",
                1935,
                "live2",
                "abcd-efgh",
                "rtmp://a.rtmp.youtube.com/live2",
            ),
            (
                "RTMPS://live.example:8443/app/instance/key?bandwidth=1/2&x=y",
                "live.example",
                8443,
                "app/instance",
                "key?bandwidth=1/2&x=y",
                "rtmps://live.example:8443/app/instance",
            ),
            (
                "rtmp://user:p@ss@[::1]:1936/live/k=1?",
                "::1",
                1936,
                "live",
                "k=1?",
                "rtmp://[::1]:1936/live",
            ),
            (
                "rtmps://h/live?auth=t/key",
                "h",
                443,
                "live?auth=t",
                "key",
                "rtmps://h/live?auth=t",
            ),
        ] {
            let url = RtmpUrl::parse(text).unwrap();
            assert_eq!(
                (url.host(), url.port(), url.app(), url.key(), url.tc_url()),
                (host, port, app, key, tc_url.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let host = || "h".to_owned();
        for (text, error) in [
            (
                "http://h/app/key",
                UrlError::WrongScheme {
                    scheme: "http".to_owned(),
                },
            ),
            (
                "h/app/key",
                UrlError::WrongScheme {
                    scheme: String::new(),
                },
            ),
            ("rtmp:///app/key", UrlError::MissingHost),
            ("rtmp://:1935/app/key", UrlError::MissingHost),
            ("rtmp://h", UrlError::MissingApp { host: host() }),
            ("rtmp://h/", UrlError::MissingApp { host: host() }),
            ("rtmp://h//key", UrlError::MissingApp { host: host() }),
            ("rtmp://h/app", UrlError::MissingKey { host: host() }),
            ("rtmp://h/app/", UrlError::MissingKey { host: host() }),
            ("rtmp://h/app/?x=1", UrlError::MissingKey { host: host() }),
            (
                "rtmp://h:99999/app/key",
                UrlError::InvalidPort {
                    port: "99999".to_owned(),
                },
            ),
            (
                "rtmp://user:pass/app/key",
                UrlError::InvalidPort {
                    port: "***".to_owned(),
                },
            ),
            (
                "rtmp://[::g]/app/key",
                UrlError::InvalidHost {
                    host: "[::g]".to_owned(),
                },
            ),
            (
                "rtmp://h/app/a key",
                UrlError::InvalidCharacter { position: 14 },
            ),
        ] {
            assert_eq!(RtmpUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn neither_debug_nor_display_shows_key_query_or_password() {
        let url =
            RtmpUrl::parse("rtmp://u:pass@h/live?auth=apptoken/s3cret?token=querytoken").unwrap();
        for text in [format!("{url}"), format!("{url:?}")] {
            assert!(text.contains("rtmp://h/live"), "{text}");
            for secret in ["s3cret", "querytoken", "apptoken", "pass"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }

    #[test]
    fn a_servers_words_are_shown_without_the_key() {
        let url = RtmpUrl::parse("rtmp://h/live/s3cret?token=querytoken").unwrap();
        assert_eq!(
            url.redact("stream s3cret?token=querytoken: s3cret is in use, querytoken too"),
            "stream ***: *** is in use, *** too"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,60}", tail in "[a-z0-9:/?@\\[\\]=.]{0,40}") {
            let _ = RtmpUrl::parse(&text);
            let _ = RtmpUrl::parse(&format!("rtmp://{tail}"));
        }
    }
}
