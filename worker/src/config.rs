//! What a node has to be told before it starts.

use std::{io, path::PathBuf, rc::Rc, time::Duration};

use shared::endpoint::Endpoint;
use tokio::sync::Mutex;

use crate::{
    actors::said::Alarms,
    process::{
        keeper::EngineEnd,
        owner::Owner,
        spawner::{KeeperEvents, Spawner},
    },
};

/// How long running tasks may go on after the first request to end, unless the user says otherwise.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long a silent coordinator is waited for before it has said so itself.
pub const LEASE: Duration = Duration::from_secs(10);

/// A node's settings.
#[derive(Clone)]
pub struct Config {
    /// How many processes it runs.
    pub slots: u16,
    /// Where its coordinator is.
    pub endpoint: Endpoint,
    /// The interpreter for jobs that name none; see [`launch`](crate::launch) for what it is otherwise.
    pub python: Option<PathBuf>,
    /// How long running tasks may go on after the first request to end.
    pub grace: Duration,
    /// Who hears of signals and of the keeper's death. `None`: the node itself, which then ends in order.
    pub alarms: Option<Alarms>,
    /// The keeper.
    pub keeping: Keeping,
}

/// The engine's side of the keeper, for node after node of one process.
#[derive(Clone)]
pub struct Keeping {
    pub(crate) spawner: Spawner,
    pub(crate) events: Rc<Mutex<KeeperEvents>>,
    /// Whose all that is started here is; `None`: the keeper was gone already.
    pub(crate) owner: Option<Owner>,
}

impl Keeping {
    /// Needs a tokio runtime with I/O to be entered: to be called in the factory of the root actor.
    pub fn new(end: EngineEnd) -> io::Result<Keeping> {
        let (spawner, events) = Spawner::new(end)?;
        let owner = Owner::here(spawner.keeper());
        Ok(Keeping { spawner, events: Rc::new(Mutex::new(events)), owner })
    }
}
