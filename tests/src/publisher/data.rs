//! Data packets from a publisher.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use livekit_protocol::DataPacket;
use prost::Message;
use tokio::time::timeout;
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use super::Publisher;

/// A channel opens in milliseconds on loopback, and later on a busy machine.
const OPEN: Duration = Duration::from_secs(20);

/// An open channel that is reliable.
pub struct DataSender(Arc<dyn DataChannel>);

impl Publisher {
    /// Opens a channel for data, before any track is published.
    ///
    /// # Panics
    ///
    /// When it does not open.
    pub async fn open_data(&self) -> DataSender {
        let negotiating = self.negotiation.lock().await;
        let channel = self
            .session
            .publisher
            .create_data_channel("_reliable", None);
        let channel = channel.await.expect("a data channel");
        self.session.negotiate().await;
        drop(negotiating);
        let open = async {
            while let Some(event) = channel.poll().await {
                if matches!(event, DataChannelEvent::OnOpen) {
                    return true;
                }
            }
            false
        };
        assert_eq!(timeout(OPEN, open).await, Ok(true), "the channel opens");
        DataSender(channel)
    }
}

impl DataSender {
    /// Sends a packet as it is; the server puts the sender in.
    pub async fn send(&self, packet: &DataPacket) {
        let bytes = BytesMut::from(packet.encode_to_vec().as_slice());
        self.0.send(bytes).await.expect("the channel is open");
    }
}
