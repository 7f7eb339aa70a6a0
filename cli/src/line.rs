//! A client's way to its coordinator, which may go away and come back. It does not know what is said.

use std::time::{Duration, Instant};

use shared::{
    endpoint::{Connected, Endpoint, EndpointError, hello},
    wire::Role,
};

use crate::{fault::Fault, show::Show};

/// How long a coordinator that has gone away is waited for; its job goes on without us, or from its checkpoint.
const RECONNECT_LIMIT: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Line {
    endpoint: Endpoint,
    reached: bool,
    lost_since: Option<Instant>,
    pause: Duration,
}

impl Line {
    pub fn new(endpoint: Endpoint) -> Line {
        Line { endpoint, reached: false, lost_since: None, pause: FIRST_PAUSE }
    }

    /// Tries once; `None`: it is worth another attempt after the [pause](Line::pause). `next` is what to do if it is not.
    pub async fn connect(&mut self, show: &Show, next: &str) -> Result<Option<Connected>, Fault> {
        match self.endpoint.connect(&hello(Role::Client), Duration::from_secs(10)).await {
            Ok(connected) => {
                self.reached = true;
                if self.lost_since.take().is_some() {
                    show.note("connected to the coordinator again");
                }
                self.pause = FIRST_PAUSE;
                Ok(Some(connected))
            }
            Err(EndpointError::Refused(why)) => Err(Fault::refused(why)),
            // A coordinator elsewhere that was never reached is a mistake; one that was is waited for.
            Err(EndpointError::Unreachable(why))
                if !self.reached && matches!(self.endpoint, Endpoint::Network { .. }) =>
            {
                Err(Fault::usage(why))
            }
            Err(EndpointError::Unreachable(why)) => {
                if self.lost_since.is_some_and(|since| since.elapsed() > RECONNECT_LIMIT) {
                    return Err(Fault::internal(format!("{why}; {next}")));
                }
                Ok(None)
            }
        }
    }

    /// Waits before the next attempt.
    pub async fn pause(&mut self) {
        self.lost_since.get_or_insert_with(Instant::now);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
