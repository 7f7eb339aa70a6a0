//! A client's way to its coordinator, which may go away and come back. It does not know what is said.

use std::time::{Duration, Instant};

use shared::{
    endpoint::{Endpoint, EndpointError, hello},
    wire::Role,
};

use crate::{fault::Fault, show::Show, talk::Talk};

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

    /// Connects, if need be again and again. `next` is what to do when that is of no use. May be cancelled.
    pub async fn connect(&mut self, show: &Show, next: &str) -> Result<Talk, Fault> {
        loop {
            if self.lost_since.is_some() {
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
            match self.endpoint.connect(&hello(Role::Client), Duration::from_secs(10)).await {
                Ok(connected) => {
                    self.reached = true;
                    if self.lost_since.take().is_some() {
                        show.note("connected to the coordinator again");
                    }
                    self.pause = FIRST_PAUSE;
                    return Ok(Talk::new(connected));
                }
                Err(EndpointError::Refused(why)) => return Err(Fault::refused(why)),
                // A coordinator elsewhere that was never reached is a mistake; one that was is waited for.
                Err(EndpointError::Unreachable(why))
                    if !self.reached && matches!(self.endpoint, Endpoint::Network { .. }) =>
                {
                    return Err(Fault::usage(why));
                }
                Err(EndpointError::Unreachable(why)) => {
                    if self.lost_since.get_or_insert_with(Instant::now).elapsed() > RECONNECT_LIMIT {
                        return Err(Fault::internal(format!("{why}; {next}")));
                    }
                }
            }
        }
    }

    /// The connection was lost.
    pub fn lost(&mut self, why: &str, show: &Show) {
        self.lost_since.get_or_insert_with(Instant::now);
        show.note(&format!("lost the coordinator ({why}); reconnecting"));
    }
}
