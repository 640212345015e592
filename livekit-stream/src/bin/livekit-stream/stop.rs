//! Ctrl-C and SIGTERM: the first ends the command properly, the second at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

/// What shells expect of a program that Ctrl-C ended: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// The signal that tells of a file at the size limit, on Linux and macOS; its default is to end
/// the process.
const SIGXFSZ: i32 = 25;

/// See the module.
pub(crate) struct Stop {
    requested: watch::Receiver<Option<&'static str>>,
}

impl Stop {
    /// Takes the signals from now on.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let failed = |error| Failure::of("cannot take signals", &error);
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        // A file that grew to the limit of the process is an error of writing, not its end.
        let _ignored = signal(SignalKind::from_raw(SIGXFSZ)).map_err(failed)?;
        let (request, requested) = watch::channel(None);
        tokio::spawn(take(interrupt, terminate, request));
        Ok(Self { requested })
    }

    /// Completes with the signal's name once there was one.
    pub(crate) async fn requested(&mut self) -> &'static str {
        match self
            .requested
            .wait_for(Option::is_some)
            .await
            .map(|name| *name)
        {
            Ok(Some(name)) => name,
            // The task that takes the signals lasts as long as the runtime.
            _ => std::future::pending().await,
        }
    }
}

async fn take(
    mut interrupt: Signal,
    mut terminate: Signal,
    request: watch::Sender<Option<&'static str>>,
) {
    loop {
        let name = tokio::select! {
            _ = interrupt.recv() => "Ctrl-C",
            _ = terminate.recv() => "SIGTERM",
        };
        if request.send_replace(Some(name)).is_some() {
            // What was written so far is playable.
            std::process::exit(INTERRUPTED);
        }
    }
}
