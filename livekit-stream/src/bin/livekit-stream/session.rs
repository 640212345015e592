//! One visit to a room: joins, waits for participants, starts what is made of each, ends it all.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::future::join_all;
use livekit_stream::{DisconnectReason, Room, RoomEvent, RoomEvents};
use serde::Serialize;

use crate::connection::Access;
use crate::display::{Display, say};
use crate::failure::Failure;
use crate::figures::Figures;
use crate::metrics::Metrics;
use crate::running::{Finished, Running};
use crate::selection::{Finder, Scope, Selection};
use crate::stop::Stop;

/// How often the recordings are looked after.
const TICK: Duration = Duration::from_millis(250);

/// What a subcommand makes of a participant.
pub(crate) trait Start {
    /// Starts it, and tells what it does.
    async fn start(&mut self, room: &Room, identity: &str) -> Result<(Running, String), Failure>;
}

/// Why the visit ended.
enum Ended {
    /// Everything that was asked for is done.
    Done,
    Signal(&'static str),
    Room(DisconnectReason),
    Failed,
}

/// Everything about the visit, as it is written to JSON.
#[derive(Serialize)]
struct Report<'a> {
    room: String,
    room_sid: String,
    /// Our own.
    identity: String,
    /// Milliseconds since 1970.
    started_at: u64,
    ended_by: String,
    /// What failed, if anything did.
    error: Option<String>,
    recordings: &'a [Finished],
}

/// See the module.
pub(crate) struct Session<'a, S> {
    finder: Finder<'a>,
    start: S,
    running: Vec<Running>,
    finished: Vec<Finished>,
    failures: Vec<String>,
    display: Display,
    figures: Figures,
    metrics: Option<Metrics>,
}

impl<'a, S: Start> Session<'a, S> {
    pub(crate) fn new(
        selection: &'a Selection,
        scope: Scope,
        start: S,
        metrics: Option<Metrics>,
    ) -> Self {
        Self {
            finder: Finder::new(selection, scope),
            start,
            running: Vec::new(),
            finished: Vec::new(),
            failures: Vec::new(),
            display: Display::new(Instant::now()),
            figures: Figures::default(),
            metrics,
        }
    }

    /// Runs to the end; `report` is where the JSON goes. Gives the files that were written to.
    pub(crate) async fn run(
        mut self,
        access: &Access,
        report: Option<&Path>,
    ) -> (Vec<PathBuf>, Result<(), Failure>) {
        let result = self.visit(access, report).await;
        let files = self
            .finished
            .iter()
            .filter_map(|one| one.report.file().cloned());
        (files.collect(), result)
    }

    async fn visit(&mut self, access: &Access, report: Option<&Path>) -> Result<(), Failure> {
        let mut stop = Stop::listen()?;
        let (room, mut events) = tokio::select! {
            joined = access.join() => joined?,
            name = stop.requested() => {
                return Err(Failure::failed(format!("{name} before the room was joined")));
            }
        };
        let started_at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        say(&format!("joined {} as {}", room.name(), room.identity()));
        if let Some(metrics) = &self.metrics {
            metrics.watch_room(&room);
        }
        say(&format!("waiting for {}", self.finder.awaited()));
        let ended = self.follow(&room, &mut events, &mut stop).await;
        if let Ended::Signal(name) = ended {
            say(&format!("{name}: ending, once more ends at once"));
        }
        self.finish(&ended).await;
        let (room_name, room_sid, identity) = (room.name(), room.sid(), room.identity());
        room.close().await;
        self.display.clear();
        for one in &self.finished {
            if one.report.is_playable() {
                say(&one.report.summary());
            }
        }
        let error = self.error(&ended);
        let report_json = Report {
            room: room_name,
            room_sid,
            identity,
            started_at: started_at.as_millis() as u64,
            ended_by: ended.to_string(),
            error: error.clone(),
            recordings: &self.finished,
        };
        let written = report.map_or(Ok(()), |path| write_report(path, &report_json));
        error
            .map_or(Ok(()), |error| Err(Failure::failed(error)))
            .and(written)
    }

    /// Follows the room until something ends the visit.
    async fn follow(&mut self, room: &Room, events: &mut RoomEvents, stop: &mut Stop) -> Ended {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(RoomEvent::Disconnected { reason }) => return Ended::Room(reason),
                    Some(event) => {
                        self.note(&event);
                        self.finder.ask(&event).await;
                    }
                    None => return Ended::Room(DisconnectReason::Unknown),
                },
                name = stop.requested() => return Ended::Signal(name),
                _ = tick.tick() => self.show(),
            }
            for identity in self.finder.find(room, Instant::now()) {
                match self.start.start(room, &identity).await {
                    Ok((running, what)) => {
                        say(&what);
                        if let Some(metrics) = &self.metrics {
                            metrics.watch(&identity, &running);
                        }
                        self.running.push(running);
                    }
                    Err(failure) => self.fail(failure.to_string()),
                }
            }
            self.collect().await;
            if self.running.is_empty() && self.finder.is_complete() {
                let done = self.failures.is_empty();
                return if done { Ended::Done } else { Ended::Failed };
            }
        }
    }

    /// Takes the reports of those that ended by themselves.
    async fn collect(&mut self) {
        while let Some(index) = self.running.iter().position(Running::is_finished) {
            let finished = self.running.swap_remove(index).finished().await;
            self.take(finished);
        }
    }

    fn take(&mut self, finished: Finished) {
        if let Some(error) = &finished.error {
            self.fail(error.clone());
        } else if !self.running.is_empty() {
            let report = &finished.report;
            say(&format!(
                "{} is done: {}",
                report.participant(),
                report.ended_by()
            ));
        }
        self.finished.push(finished);
    }

    fn fail(&mut self, error: String) {
        // With others still running it would be a long time until it is told.
        if !self.running.is_empty() {
            say(&format!("failed: {error}"));
        }
        self.failures.push(error);
    }

    /// Ends what still runs: by itself if the room has ended, for then all media have come.
    async fn finish(&mut self, ended: &Ended) {
        let running = std::mem::take(&mut self.running);
        let finished = match ended {
            Ended::Room(_) => join_all(running.into_iter().map(Running::finished)).await,
            _ => join_all(running.into_iter().map(Running::stop)).await,
        };
        for one in finished {
            self.take(one);
        }
    }

    /// What is wrong with the visit, in one line.
    fn error(&self, ended: &Ended) -> Option<String> {
        let mut errors = self.failures.clone();
        if let Ended::Room(reason) = ended
            && is_premature(*reason)
        {
            errors.push(format!("the room was left too early: {reason}"));
        }
        let playable = self.finished.iter().any(|one| one.report.is_playable());
        if errors.is_empty() && !playable {
            let awaited = self.finder.awaited();
            errors.push(match self.finished.first() {
                None => format!("nothing was recorded: {ended} while waiting for {awaited}"),
                Some(one) => format!(
                    "nothing was recorded: {ended} before media of {} came",
                    one.report.participant()
                ),
            });
        }
        (!errors.is_empty()).then(|| errors.join("; "))
    }

    fn show(&mut self) {
        let now = Instant::now();
        if !self.display.is_due(now) {
            return;
        }
        let reports: Vec<_> = self.running.iter().map(Running::report).collect();
        let lines = reports
            .iter()
            .flat_map(|report| report.lines(&mut self.figures, now));
        let lines = lines.collect();
        self.display.show(now, lines);
    }

    /// Tells what happens to those who are recorded.
    fn note(&self, event: &RoomEvent) {
        let (participant, what) = match event {
            RoomEvent::Reconnecting => return say("the connection is lost; reconnecting"),
            RoomEvent::Reconnected => return say("the connection is back"),
            RoomEvent::ParticipantConnected(participant) => (participant, "is here".to_owned()),
            RoomEvent::ParticipantDisconnected(participant) => (participant, "left".to_owned()),
            RoomEvent::TrackMuted {
                publication,
                participant,
            } => (participant, format!("muted the {}", publication.source())),
            RoomEvent::TrackUnmuted {
                publication,
                participant,
            } => (participant, format!("unmuted the {}", publication.source())),
            _ => return,
        };
        if self.finder.concerns(participant.identity()) {
            say(&format!("{} {what}", participant.identity()));
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done => f.write_str("the duration was reached"),
            Self::Signal(name) => f.write_str(name),
            Self::Room(reason) => reason.fmt(f),
            Self::Failed => f.write_str("an error"),
        }
    }
}

/// Whether the room's end is nobody's will.
fn is_premature(reason: DisconnectReason) -> bool {
    !matches!(
        reason,
        DisconnectReason::ClientInitiated
            | DisconnectReason::ParticipantRemoved
            | DisconnectReason::RoomDeleted
            | DisconnectReason::RoomClosed
            | DisconnectReason::ServerShutdown
    )
}

fn write_report(path: &Path, report: &Report<'_>) -> Result<(), Failure> {
    let attempt = || format!("cannot write the report to {}", path.display());
    let json =
        serde_json::to_string_pretty(report).map_err(|error| Failure::of(&attempt(), &error))?;
    std::fs::write(path, json + "\n").map_err(|error| Failure::of(&attempt(), &error))
}
