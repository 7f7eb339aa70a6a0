//! Storekeeper: the [clerk](Clerk) with the bytes of objects.

use std::{collections::BTreeSet, path::PathBuf};

use actix::{Addr, Context, Message};
use shared::id::ObjectId;

use crate::{
    actors::{clerk::Clerk, coordinator::Coordinator},
    depot::{Answer, Depot, Order},
};

/// See the module.
pub type Storekeeper = Clerk<Order>;

/// To the coordinator: the depot has answered.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stored(pub Answer);

/// Opens the depot, which keeps of an earlier life's objects these.
pub fn storekeeper(
    state: Option<PathBuf>,
    wanted: BTreeSet<ObjectId>,
    coordinator: Addr<Coordinator>,
    ctx: &mut Context<Storekeeper>,
) -> Storekeeper {
    let store = move |orders: &std::sync::mpsc::Receiver<Order>| {
        let mut depot = Depot::new(state.as_deref(), &wanted);
        let answers = orders.iter().filter_map(|order| depot.carry_out(order));
        answers.for_each(|answer| coordinator.do_send(Stored(answer)));
    };
    Clerk::new("storekeeper", store, ctx)
}
