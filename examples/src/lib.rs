//! What the examples share: their command line, and peers and WHEP for those without LiveKit.

pub mod peer;
pub mod whep;

use std::env;
use std::error::Error;
use std::str::FromStr;
use std::vec::IntoIter;

/// `[--url URL] [--token TOKEN]`, else the environment's `LIVEKIT_URL` and `LIVEKIT_TOKEN`, and
/// arguments by position.
#[derive(Debug)]
pub struct Arguments {
    /// Where the LiveKit server is, such as `ws://localhost:7880`.
    pub url: String,
    /// The access token, which names the room.
    pub token: String,
    rest: IntoIter<String>,
}

impl Arguments {
    /// The process's own.
    ///
    /// # Errors
    ///
    /// An option without a value, or no URL or token at all.
    pub fn parse() -> Result<Self, Box<dyn Error>> {
        let (mut url, mut token) = (env::var("LIVEKIT_URL").ok(), env::var("LIVEKIT_TOKEN").ok());
        let mut rest = Vec::new();
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let option = match argument.as_str() {
                "--url" => &mut url,
                "--token" => &mut token,
                _ => {
                    rest.push(argument);
                    continue;
                }
            };
            let value = arguments.next();
            *option = Some(value.ok_or_else(|| format!("{argument} needs a value"))?);
        }
        Ok(Self {
            url: url.ok_or("no server: give --url or set LIVEKIT_URL")?,
            token: token.ok_or("no access token: give --token or set LIVEKIT_TOKEN")?,
            rest: rest.into_iter(),
        })
    }

    /// The next argument.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn next(&mut self, name: &str) -> Result<String, Box<dyn Error>> {
        Ok(self
            .rest
            .next()
            .ok_or_else(|| format!("the argument {name} is missing"))?)
    }

    /// The next argument, or `default` when there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read as a `T`.
    pub fn next_or<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, Box<dyn Error>> {
        match self.rest.next() {
            Some(value) => Ok(value
                .parse()
                .map_err(|_| format!("{name} cannot be {value:?}"))?),
            None => Ok(default),
        }
    }
}

/// The programs in the documents compile.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/guides/frames.md")]
    struct Frames;
    #[doc = include_str!("../../docs/guides/recording.md")]
    struct Recording;
    #[doc = include_str!("../../docs/guides/capture.md")]
    struct Capture;
    #[doc = include_str!("../../docs/guides/restreaming.md")]
    struct Restreaming;
    #[doc = include_str!("../../docs/guides/transcoding.md")]
    struct Transcoding;
    #[doc = include_str!("../../docs/migrating.md")]
    struct Migrating;
}
