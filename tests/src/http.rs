//! As much HTTP/1.1 as the kit needs: JSON calls to the LiveKit server, pages for the browser, and
//! what a WHEP server answers.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No call of the kit takes longer on loopback.
const DEADLINE: Duration = Duration::from_secs(10);

/// The body of a page may hold recorded media, never more than this.
const MAX_BODY: usize = 64 << 20;

/// Posts JSON and returns the status code and the JSON of the answer (`Null` when it is not JSON).
pub async fn post_json(
    address: SocketAddr,
    path: &str,
    bearer: &str,
    body: &Value,
) -> io::Result<(u16, Value)> {
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {bearer}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let (status, body) = call(address, &request).await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// Gets a page and returns the status code and the body.
pub async fn get(address: SocketAddr, path: &str) -> io::Result<(u16, Bytes)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    call(address, &request).await
}

async fn call(address: SocketAddr, request: &str) -> io::Result<(u16, Bytes)> {
    timeout(DEADLINE, async {
        let mut stream = BufStream::new(TcpStream::connect(address).await?);
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let message = read_message(&mut stream).await?;
        let status = message
            .start
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(message.start.clone()))?;
        Ok((status, message.body))
    })
    .await?
}

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The body, empty for `GET`.
    pub body: Bytes,
    headers: HashMap<String, String>,
}

impl Request {
    /// A header's value, empty when it is not there; the name in small letters.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What it gets.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code and reason phrase.
    pub status: &'static str,
    /// The headers that describe the body, or what was created.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// "200 OK" with a body.
    pub fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            headers: vec![("Content-Type", content_type.to_owned())],
            body: body.into(),
            ..Self::status("200 OK")
        }
    }

    /// "201 Created" with what was created, and where.
    pub fn created(location: String, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut response = Self::ok(content_type, body);
        response.status = "201 Created";
        response.headers.push(("Location", location));
        response
    }

    /// "404 Not Found".
    pub fn not_found() -> Self {
        Self::status("404 Not Found")
    }

    /// A status code with its reason phrase, and nothing else.
    pub fn status(status: &'static str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }
}

/// A web server on a free port of 127.0.0.1, stopped when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts answering requests by `handler`, each on a task of its own.
    pub async fn start<F, A>(handler: F) -> Self
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response> + Send,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port on loopback");
        let address = listener.local_addr().expect("the listener has an address");
        let handler = Arc::new(handler);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let handler = Arc::clone(&handler);
                tokio::spawn(async move { answer(stream, &*handler).await });
            }
        });
        Self { address, task }
    }

    /// `http://127.0.0.1:PORT`: a secure context for the browser, so cameras work.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one request a connection; the browser opens as many as it needs.
async fn answer<A: Future<Output = Response>>(stream: TcpStream, handler: &impl Fn(Request) -> A) {
    let mut stream = BufStream::new(stream);
    let Ok(Ok(message)) = timeout(DEADLINE, read_message(&mut stream)).await else {
        return;
    };
    let mut words = message.start.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let response = handler(Request {
        method,
        path,
        body: message.body,
        headers: message.headers,
    });
    let response = response.await;
    let mut headers = response.headers;
    headers.extend([
        ("Content-Length", response.body.len().to_string()),
        ("Cache-Control", "no-store".to_owned()),
        ("Connection", "close".to_owned()),
    ]);
    let headers = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers = headers.collect::<String>();
    let head = format!("HTTP/1.1 {}\r\n{headers}\r\n", response.status);
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&response.body).await;
    let _ = stream.flush().await;
}

struct Message {
    start: String,
    /// By their names in small letters.
    headers: HashMap<String, String>,
    body: Bytes,
}

async fn read_message(stream: &mut BufStream<TcpStream>) -> io::Result<Message> {
    let mut start = String::new();
    stream.read_line(&mut start).await?;
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|value| value.parse::<usize>().ok());
    let mut body = Vec::new();
    match length {
        Some(length) if length <= MAX_BODY => {
            body.resize(length, 0);
            stream.read_exact(&mut body).await?;
        }
        Some(length) => return Err(io::Error::other(format!("a body of {length} bytes"))),
        // A request without a length has no body; an answer without one ends the connection.
        None if start.starts_with("HTTP/") => {
            stream.take(MAX_BODY as u64).read_to_end(&mut body).await?;
        }
        None => {}
    }
    Ok(Message {
        start: start.trim_end().to_owned(),
        headers,
        body: body.into(),
    })
}
