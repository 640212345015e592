//! RTP to encoded frames: jitter buffer, depacketizers, clock. No sockets, no clock of its own: time is an input.
