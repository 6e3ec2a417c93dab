//! What is fixed for the life of the process: flags, and the environment as a Deployment sets it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use clap::Parser;

use crate::{
    ca::{CA_LIFE, Lives, OVERLAP},
    certificates::Source,
    endpoints::Endpoint,
    inject::{Flags, Settings},
    lease::Me,
};

/// The llmroute control plane: policies of the cluster go to the sidecars of the pods that they select.
#[derive(Debug, Parser)]
#[command(name = "llmroute-operator", version)]
pub struct Config {
    /// Where sidecars call, TLS
    #[arg(long, value_name = "ADDR", default_value = "[::]:8443")]
    pub control: SocketAddr,

    /// Where the API server asks about pods and policies, TLS
    #[arg(long, value_name = "ADDR", default_value = "[::]:9443")]
    pub webhook: SocketAddr,

    /// Health and metrics
    #[arg(long, value_name = "ADDR", default_value = "[::]:8080")]
    pub admin: SocketAddr,

    /// The operator's own namespace
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "llmroute-system")]
    pub namespace: String,

    /// This replica's name, by which it holds the lease
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub pod_name: String,

    /// This replica's address, where sidecars and the other replicas find it
    #[arg(long, value_name = "IP", env = "POD_IP")]
    pub pod_ip: IpAddr,

    /// The Service that leads to the leader, and its EndpointSlice
    #[arg(long, value_name = "NAME", default_value = "llmroute-control")]
    pub service: String,

    /// The Lease of the leader
    #[arg(long, value_name = "NAME", default_value = "llmroute-operator")]
    pub lease: String,

    /// The Secret of the certificates, in the operator's namespace; it must be there, if empty
    #[arg(long, value_name = "NAME", default_value = "llmroute-tls")]
    pub tls_secret: String,

    /// A further name of the served certificate, beside those of the Services
    #[arg(long = "tls-name", value_name = "NAME")]
    pub tls_names: Vec<String>,

    /// That Secret is somebody else's, cert-manager's for example: its tls.crt, tls.key and ca.crt are used as they are, and
    /// neither it nor the CA of the webhooks is written
    #[arg(long)]
    pub tls_given: bool,

    /// Life of the operator's CA, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = CA_LIFE.as_secs(), hide = true)]
    pub ca_life: u64,

    /// So long a new CA is trusted before it signs, and the one before after that, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = OVERLAP.as_secs(), hide = true)]
    pub ca_overlap: u64,

    /// Sidecars may call from other addresses than their pods': where something between them changes these, nobody can tell by
    /// that whether a token is used by its own pod
    #[arg(long)]
    pub any_address: bool,

    /// How sidecars are.
    #[command(flatten)]
    pub sidecars: Flags,
}

/// The control Service's port.
const SERVICE_PORT: u16 = 8443;
/// Name of the control port, of the Service too.
const PORT_NAME: &str = "grpc";
/// The Service of the webhooks, whose certificate is the same.
const WEBHOOK: &str = "llmroute-webhook";

impl Config {
    /// Names of the served certificate: of both Services, as they are called from within the cluster.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let services = [&*self.service, WEBHOOK];
        let of = |service: &str| {
            let namespace = &self.namespace;
            [format!("{service}.{namespace}"), format!("{service}.{namespace}.svc")]
        };
        services.into_iter().flat_map(of).chain(self.tls_names.iter().cloned()).collect()
    }

    /// Who makes certificates. Tests have a CA pass away within seconds.
    #[must_use]
    pub fn certificates(&self) -> Source {
        let lives = Lives { ca: Duration::from_secs(self.ca_life), overlap: Duration::from_secs(self.ca_overlap) };
        if self.tls_given { Source::Given } else { Source::Operator(lives) }
    }

    /// How sidecars are that are added to pods.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let control = format!("https://{}.{}.svc:{SERVICE_PORT}", self.service, self.namespace);
        self.sidecars.settings(&self.namespace, control)
    }

    /// This replica in the election; it serves sidecars at `port`.
    #[must_use]
    pub fn me(&self, port: u16) -> Me {
        let address = format!("https://{}", SocketAddr::new(self.pod_ip, port));
        Me { identity: self.pod_name.clone(), epoch: format!("{:016x}", fastrand::u64(..)), address }
    }

    /// Where the Service leads while this replica leads.
    #[must_use]
    pub fn endpoint(&self, port: u16) -> Endpoint {
        Endpoint {
            namespace: self.namespace.clone(),
            service: self.service.clone(),
            port_name: PORT_NAME.to_owned(),
            ip: self.pod_ip,
            port,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_a_pod_is_enough() {
        let config =
            Config::try_parse_from(["x", "--pod-name", "op-1", "--pod-ip", "fd00::9", "--tls-name", "localhost"]);
        let config = config.unwrap();
        let me = config.me(8443);
        let settings = config.settings();
        assert_eq!(settings.control, "https://llmroute-control.llmroute-system.svc:8443");
        assert!(config.names().iter().any(|name| settings.control.contains(&format!("//{name}:"))), "it is certified");
        assert_eq!(config.certificates(), Source::Operator(Lives::default()));
        assert_eq!((&*me.identity, &*me.address, me.epoch.len()), ("op-1", "https://[fd00::9]:8443", 16));
        assert_eq!(
            config.names(),
            [
                "llmroute-control.llmroute-system",
                "llmroute-control.llmroute-system.svc",
                "llmroute-webhook.llmroute-system",
                "llmroute-webhook.llmroute-system.svc",
                "localhost"
            ]
        );
    }
}
