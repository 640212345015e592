//! As much HTTP/1.1 as the kit needs: JSON calls to the LiveKit server, and pages for the browser.

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

/// What a browser asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `POST`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The body, empty for `GET`.
    pub body: Bytes,
}

/// What it gets.
#[derive(Debug, Clone)]
pub struct Response {
    /// The media type, or `None` for "404 Not Found".
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// "200 OK" with a body.
    pub fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            content_type: Some(content_type),
            body: body.into(),
        }
    }

    /// "404 Not Found".
    pub fn not_found() -> Self {
        Self {
            content_type: None,
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
    /// Starts answering requests by `handler`.
    pub async fn start(handler: impl Fn(Request) -> Response + Send + Sync + 'static) -> Self {
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
async fn answer(stream: TcpStream, handler: &(dyn Fn(Request) -> Response + Send + Sync)) {
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
    });
    let head = match response.content_type {
        Some(content_type) => format!("200 OK\r\nContent-Type: {content_type}"),
        None => "404 Not Found".to_owned(),
    };
    let head = format!(
        "HTTP/1.1 {head}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        response.body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&response.body).await;
    let _ = stream.flush().await;
}

struct Message {
    start: String,
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
        body: body.into(),
    })
}
