//! The tools on checkpoints from outside: the real binary, on files that the one writer made.

mod compact;
mod compare;
mod damage;
mod full;
mod made;
