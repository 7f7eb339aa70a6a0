//! A network of one cable: it passes bytes on to an address, and can close, mute (each direction) and delay them.
//!
//! What is muted is not lost but waits, as in a network that heals; an end waits too, as when a machine vanishes.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::Scratch;

#[derive(Default)]
struct State {
    /// Towards the address, and from it.
    muted: [bool; 2],
    delay: Duration,
    passing: Vec<Arc<Passing>>,
    over: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// One connection: its two sockets.
struct Passing {
    ends: [TcpStream; 2],
    cut: AtomicBool,
}

/// See the module.
pub struct Relay {
    address: String,
    to: String,
    shared: Arc<Shared>,
}

impl Relay {
    /// A relay to this address.
    pub fn new(to: String) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let shared = Arc::new(Shared::default());
        let (mine, there) = (Arc::clone(&shared), to.clone());
        std::thread::spawn(move || accept(&listener, &there, &mine));
        Relay { address, to, shared }
    }

    /// Writes an access file for this role, that leads to the relay.
    pub fn access(&self, scratch: &Scratch, role: &str, name: &str) {
        let text = fs::read_to_string(scratch.file(&format!("access/{role}.access"))).expect("written");
        let path = scratch.write(name, text.replace(&self.to, &self.address));
        fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("ours");
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock().expect("no panic"));
        self.shared.changed.notify_all();
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.change(|state| state.passing.drain(..).for_each(|passing| passing.cut()));
    }

    /// Lets nothing through in these directions.
    pub fn mute(&self, directions: [bool; 2]) {
        self.change(|state| state.muted = directions);
    }

    /// Everything takes so long from now on.
    pub fn delay(&self, delay: Duration) {
        self.change(|state| state.delay = delay);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.change(|state| state.over = true);
        self.cut();
        // The accepting thread hears of it.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Passing {
    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.ends.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
    }
}

fn accept(listener: &TcpListener, to: &str, shared: &Arc<Shared>) {
    for visitor in listener.incoming().flatten() {
        let mut state = shared.state.lock().expect("no panic");
        if state.over {
            return;
        }
        // Nobody there: the visitor sees its connection closed.
        let Ok(there) = TcpStream::connect(to) else { continue };
        [&visitor, &there].iter().for_each(|end| end.set_nodelay(true).expect("a socket"));
        let passing = Arc::new(Passing { ends: [visitor, there], cut: AtomicBool::new(false) });
        state.passing.retain(|passing| !passing.cut.load(Ordering::SeqCst));
        state.passing.push(Arc::clone(&passing));
        drop(state);
        for direction in [0, 1] {
            let (passing, shared) = (Arc::clone(&passing), Arc::clone(shared));
            std::thread::spawn(move || pass(&passing, direction, &shared));
        }
    }
}

/// Carries one direction, until its end.
fn pass(passing: &Passing, direction: usize, shared: &Shared) {
    let (mut from, mut to) = (&passing.ends[direction], &passing.ends[1 - direction]);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer).unwrap_or(0);
        let state = shared.state.lock().expect("no panic");
        let is_held = |state: &mut State| state.muted[direction] && !passing.cut.load(Ordering::SeqCst);
        let delay = shared.changed.wait_while(state, is_held).expect("no panic").delay;
        std::thread::sleep(delay);
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            return passing.cut();
        }
    }
}
