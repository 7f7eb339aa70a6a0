//! Whose a process is: an entry of its environment says for which ticket of which keeper it was started, and what it
//! starts inherits that. It outlives the loss of a parent, not an environment that is emptied.

use nix::unistd::Pid;

use super::event::Ticket;

const NAME: &str = "MANIPLE_PROCESS";

/// The entry for a ticket of a keeper.
pub(super) fn entry(keeper: Pid, ticket: Ticket) -> String {
    format!("{NAME}={keeper}.{}", ticket.0)
}

/// The ticket that an entry names, if it is one of this keeper.
pub(super) fn ticket(entry: &[u8], keeper: Pid) -> Option<Ticket> {
    let value = std::str::from_utf8(entry).ok()?.strip_prefix(NAME)?.strip_prefix('=')?;
    let (of, ticket) = value.split_once('.')?;
    (of.parse() == Ok(keeper.as_raw())).then_some(Ticket(ticket.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_of_the_keeper_name_a_ticket() {
        let keeper = Pid::from_raw(17);
        let own = entry(keeper, Ticket(3));
        assert_eq!(ticket(own.as_bytes(), keeper), Some(Ticket(3)));
        assert_eq!(ticket(own.as_bytes(), Pid::from_raw(1)), None);
        for other in
            ["", "MANIPLE_PROCESS", "MANIPLE_PROCESS=", "MANIPLE_PROCESS=17.", "MANIPLE_PROCESSES=17.3"]
        {
            assert_eq!(ticket(other.as_bytes(), keeper), None, "{other}");
        }
    }
}
