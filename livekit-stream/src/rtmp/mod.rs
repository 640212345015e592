//! The RTMP protocol without sockets (Adobe RTMP 1.0).
