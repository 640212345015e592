//! The codecs that an output takes as they come.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;

use crate::codec::Codec;
use crate::output::rtmp::{LEGACY_CODECS, RtmpPublisher};

/// See the module.
#[derive(Debug, Clone)]
pub(super) enum Takes {
    /// Known from the start.
    These(&'static [Codec]),
    /// Told by servers when they are connected to; `None` before.
    Announced(watch::Receiver<Option<Arc<[Codec]>>>),
}

impl Takes {
    /// What all of these servers take. One that cannot be connected to within `patience` is
    /// taken for one that takes what every server takes; one that fails for good does not count.
    pub(super) fn announced(publishers: &[RtmpPublisher], patience: Duration) -> Self {
        let (sender, receiver) = watch::channel(None);
        let answers: Vec<_> = publishers
            .iter()
            .map(|publisher| tokio::time::timeout(patience, publisher.negotiated()))
            .collect();
        tokio::spawn(async move {
            let answers = join_all(answers).await;
            let mut common: Option<Vec<Codec>> = None;
            for answer in answers {
                let codecs = match answer {
                    Ok(Some(codecs)) => codecs,
                    Ok(None) => continue,
                    Err(_) => LEGACY_CODECS.into(),
                };
                match &mut common {
                    Some(common) => common.retain(|codec| codecs.contains(codec)),
                    none => *none = Some(codecs.to_vec()),
                }
            }
            let common = common.unwrap_or_else(|| LEGACY_CODECS.to_vec());
            let names: Vec<_> = common.iter().map(|codec| codec.name()).collect();
            tracing::info!(copied = names.join(", "), "the targets are connected");
            sender.send_replace(Some(common.into()));
        });
        Self::Announced(receiver)
    }

    /// Whether it takes this codec; waits for the servers' answers where they decide.
    pub(super) async fn includes(&mut self, codec: Codec) -> bool {
        match self {
            Self::These(codecs) => codecs.contains(&codec),
            Self::Announced(_) if LEGACY_CODECS.contains(&codec) => true,
            Self::Announced(told) => {
                let told = told.wait_for(Option::is_some).await;
                let told = told.ok().and_then(|codecs| codecs.clone());
                told.is_some_and(|codecs| codecs.contains(&codec))
            }
        }
    }
}
