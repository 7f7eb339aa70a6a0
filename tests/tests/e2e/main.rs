//! The main job from outside: the real binary, real processes, real faults. A module per concern.

mod attach;
mod bad_input;
mod cancel;
mod cleanup;
mod cluster;
mod columns;
mod commands;
mod crowd;
mod demo;
mod export;
mod hostile;
mod import;
mod interrupts;
mod kills;
mod main_job;
mod memory;
mod object_store;
mod panics;
mod poison;
mod results;
mod resume;
mod stopped;
mod storage;
mod throng;
mod two_machines;
