//! A participant on the way into a file, from before anything is published to what is in it.

use std::path::PathBuf;

use livekit_stream::{Recorder, RecordingReport, RoomOptions};
use tempfile::TempDir;

use crate::guest::Guest;
use crate::livekit::LiveKitServer;
use crate::publisher::Publisher;

/// `alice` joins a room of her own server and is recorded by the library under test.
pub struct Recording {
    /// Alice.
    pub publisher: Publisher,
    recorder: Recorder,
    guest: Guest,
    folder: TempDir,
    path: PathBuf,
    _server: LiveKitServer,
}

/// What a [`Recording`] ended with.
#[derive(Debug)]
pub struct Recorded {
    /// What the recorder tells.
    pub report: RecordingReport,
    /// The file, which goes with this.
    pub path: PathBuf,
    /// Where the file lies, until this is dropped.
    _folder: TempDir,
}

impl Recording {
    /// Starts to record, before alice publishes anything.
    pub async fn start() -> Self {
        Self::start_with(RoomOptions::default()).await
    }

    /// Starts to record from a room joined with these options.
    pub async fn start_with(options: RoomOptions) -> Self {
        Self::start_to("alice.mp4", options).await
    }

    /// Starts to record to a file of this name.
    pub async fn start_to(name: &str, options: RoomOptions) -> Self {
        let server = LiveKitServer::start().await;
        let mut guest = Guest::join_with(&server, "room", "recorder", options).await;
        let token = server.publisher_token("room", "alice");
        let publisher = Publisher::join(&server.url(), &token).await;
        let alice = guest.participant().await;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        let recorder = Recorder::builder(&alice).to_file(&path).await;
        Self {
            publisher,
            recorder: recorder.expect("recording"),
            guest,
            folder,
            path,
            _server: server,
        }
    }

    /// The report as it stands.
    pub fn progress(&self) -> RecordingReport {
        self.recorder.progress()
    }

    /// Ends it and prints the report, which a failed test shows.
    ///
    /// # Panics
    ///
    /// When an error ended it before.
    pub async fn stop(self) -> Recorded {
        let report = self.recorder.stop().await.expect("a recording");
        self.publisher.leave().await;
        self.guest.room.close().await;
        println!("{report:#?}");
        Recorded {
            report,
            path: self.path,
            _folder: self.folder,
        }
    }
}
