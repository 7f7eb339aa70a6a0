//! Machines of their own, as far as a network is concerned: namespaces on one switch, which root can make.
//!
//! The switch is in a namespace too, so removing the namespaces removes everything; dropping the network does that,
//! also when a test fails. It knows nothing of what runs on the machines.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Two or more machines, each with one address: 10.77.0.1, 10.77.0.2, ...
pub struct Network {
    names: Vec<String>,
    switch: String,
}

impl Network {
    /// Makes so many machines; or says why this one cannot.
    pub fn new(machines: usize) -> Result<Network, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("network namespaces need root".to_owned());
        }
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let name = |machine: usize| format!("maniple-{process}-{made}-{machine}");
        let network = Network { names: (1..=machines).map(name).collect(), switch: name(0) };
        let switch = &network.switch;
        // The first command that needs the machine's permission; from here on a failure is a failure.
        try_ip(&format!("netns add {switch}"))?;
        try_ip(&format!("-n {switch} link add switch type bridge"))?;
        ip(&format!("-n {switch} link set switch up"));
        for (number, machine) in (1..).zip(&network.names) {
            ip(&format!("netns add {machine}"));
            ip(&format!("-n {switch} link add port{number} type veth peer name eth0 netns {machine}"));
            ip(&format!("-n {switch} link set port{number} master switch up"));
            ip(&format!("-n {machine} addr add {} dev eth0", network.address(number)));
            ip(&format!("-n {machine} link set eth0 up"));
            ip(&format!("-n {machine} link set lo up"));
        }
        Ok(network)
    }

    /// The address of a machine, with the length of the network's prefix.
    fn address(&self, machine: usize) -> String {
        format!("10.77.0.{machine}/24")
    }

    /// Lets a command run on a machine; they are counted from 1.
    pub fn on(&self, machine: usize, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside
            .args(["netns", "exec", &self.names[machine - 1]])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside.current_dir(command.get_current_dir().unwrap_or(Path::new("/"))).stdin(Stdio::null());
        inside
    }

    /// Pulls the cable of a machine.
    pub fn cut(&self, machine: usize) {
        ip(&format!("-n {} link set port{machine} down", self.switch));
    }

    /// Plugs it in again.
    pub fn mend(&self, machine: usize) {
        ip(&format!("-n {} link set port{machine} up", self.switch));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.names.iter().chain([&self.switch]) {
            // One that was not made yet cannot be removed, and need not be.
            let _ = try_ip(&format!("netns del {name}"));
        }
    }
}

fn try_ip(args: &str) -> Result<(), String> {
    let output = Command::new("ip").args(args.split(' ')).output().map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {args}: {}", String::from_utf8_lossy(&output.stderr).trim_end())),
    }
}

#[track_caller]
fn ip(args: &str) {
    try_ip(args).unwrap_or_else(|error| panic!("{error}"));
}
