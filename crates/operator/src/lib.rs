//! The control plane. Policies and pods are plain data (`world`), taken from what the API server tells (`watch`, `observe`);
//! what each pod gets is a pure function of them (`index`, `publish`); streams of sidecars wait for a difference (`push`); what
//! they answer (`fleet`), and found of providers (`findings`), becomes a status (`status`), which the lease holder writes (`reconcile`, `lease`); it alone lends what pods share of caps (`lend`). Pods get their
//! sidecar, and policies are judged, before they are stored (`admit`, `inject`).

pub mod world;

pub mod observe;

pub mod cluster;

pub mod watch;

pub mod index;

pub mod publish;

pub mod refresh;

pub mod frame;

pub mod crowd;

pub mod push;

pub mod review;

pub mod fleet;

pub mod findings;

pub mod status;

pub mod events;

pub mod reconcile;

pub mod lease;

pub mod lend;

pub mod endpoints;

pub mod inject;

pub mod admit;

pub mod webhooks;

pub mod ca;

pub mod certificates;

pub mod metrics;

pub mod admin;

pub mod config;

pub mod run;

pub mod files;

pub mod clock;

#[cfg(test)]
mod scripted;
