//! The HTTP side of WHEP (draft-ietf-wish-whep): an offer is posted to the endpoint, the answer
//! comes back, and what was created is deleted at the end.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, RequestBuilder, Response, Url};

type Failure = Box<dyn Error + Send + Sync>;

/// The longest that a request may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// The longest answer taken, bytes. A few kilobytes are usual.
const MAX_ANSWER: usize = 1 << 20;

/// A session at an endpoint.
pub struct Session {
    client: Client,
    resource: Option<Url>,
    token: Option<String>,
}

impl Session {
    /// Posts an SDP offer that holds all candidates; gives the session and the SDP answer.
    ///
    /// # Errors
    ///
    /// When the endpoint cannot be reached, or does not answer with success (told with its status and
    /// its address, without credentials).
    pub async fn open(
        endpoint: Url,
        token: Option<String>,
        offer: String,
    ) -> Result<(Self, String), Failure> {
        let client = Client::builder().timeout(DEADLINE).build()?;
        let request = client
            .post(endpoint.clone())
            .header(CONTENT_TYPE, "application/sdp")
            .body(offer);
        let mut response = send(request, token.as_deref(), &endpoint).await?;
        // The draft wants one; there are servers that give none and see the connection end.
        let resource = match response.headers().get(LOCATION) {
            // Relative to where the request ended, which may be behind redirections.
            Some(location) => Some(response.url().join(location.to_str()?)?),
            None => None,
        };
        let session = Self {
            client,
            resource,
            token,
        };
        let mut answer = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(reqwest::Error::without_url)?
        {
            answer.extend_from_slice(&chunk);
            if answer.len() > MAX_ANSWER {
                return Err(format!("an answer of more than {MAX_ANSWER} bytes").into());
            }
        }
        Ok((session, String::from_utf8(answer)?))
    }

    /// Deletes the session, where the endpoint has told how.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn close(self) -> Result<(), Failure> {
        if let Some(resource) = self.resource {
            let request = self.client.delete(resource.clone());
            send(request, self.token.as_deref(), &resource).await?;
        }
        Ok(())
    }
}

/// Whether an address is of this machine.
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

async fn send(
    request: RequestBuilder,
    token: Option<&str>,
    url: &Url,
) -> Result<Response, Failure> {
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    match request.send().await {
        Ok(response) if response.status().is_success() => Ok(response),
        Ok(response) => Err(format!("{} from {}", response.status(), shown(url)).into()),
        Err(error) => {
            let error = error.without_url();
            let mut told = format!("{}: {error}", shown(url));
            let mut cause = error.source();
            while let Some(error) = cause {
                told = format!("{told}: {error}");
                cause = error.source();
            }
            Err(told.into())
        }
    }
}

/// An address without what may give access: name, password, query and fragment.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}
