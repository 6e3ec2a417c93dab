//! The control plane. Policies and pods are plain data (`world`); what each pod gets is a pure function of them (`index`,
//! `publish`); streams of sidecars wait for a difference (`push`).

pub mod world;

pub mod index;

pub mod publish;

pub mod fleet;

pub mod push;

pub mod inject;

pub mod admit;

pub mod ca;
