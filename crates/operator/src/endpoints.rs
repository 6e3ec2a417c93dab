//! The EndpointSlice by which the control Service leads to the leader: written by the one who leads.

use std::{net::IpAddr, time::Duration};

use k8s_openapi::{
    api::{core::v1::Service, discovery::v1::EndpointSlice},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};

use crate::{
    push::Leader,
    reconcile::{Failed, MANAGER, call},
};

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);
/// So often it is written again: somebody may have changed it.
const REFRESH: Duration = Duration::from_secs(60);

/// Where sidecars find a replica that leads.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Of the Service and the slice.
    pub namespace: String,
    /// Name of the Service, and of the slice.
    pub service: String,
    /// Name of the Service's port.
    pub port_name: String,
    /// The pod's address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
}

/// Writes the slice whenever this replica begins to lead, and now and then while it does.
pub async fn follow_leader(client: Client, endpoint: Endpoint, mut leader: watch::Receiver<Leader>) {
    while leader.wait_for(|leader| *leader == Leader::Me).await.is_ok() {
        let pause = match point_here(&client, &endpoint).await {
            Ok(()) => REFRESH,
            Err(error) => {
                tracing::warn!(%error, "the control Service does not lead here yet");
                RETRY
            }
        };
        tokio::select! {
            changed = leader.changed() => if changed.is_err() { return },
            () = sleep(pause) => {}
        }
    }
}

/// Makes the Service lead to this replica.
///
/// # Errors
/// The API server refuses it, or does not answer.
pub async fn point_here(client: &Client, endpoint: &Endpoint) -> Result<(), Failed> {
    let services: Api<Service> = Api::namespaced(client.clone(), &endpoint.namespace);
    let service = call("read the control Service", services.get_opt(&endpoint.service)).await?;
    let owner = service.and_then(|s| s.uid());
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &endpoint.namespace);
    let params = PatchParams::apply(MANAGER).force();
    let (name, patch) = (name(endpoint), Patch::Apply(slice(endpoint, owner)));
    call("write the EndpointSlice", slices.patch(&name, &params, &patch)).await.map(|_| ())
}

/// One slice an address family, which no slice can change.
fn name(Endpoint { service, ip, .. }: &Endpoint) -> String {
    if ip.is_ipv6() { format!("{service}-ipv6") } else { service.clone() }
}

/// The slice; owned by the Service where there is one, so that it goes with it.
fn slice(endpoint: &Endpoint, owner: Option<String>) -> Value {
    let Endpoint { namespace, service, port_name, ip, port } = endpoint;
    let owners: Vec<OwnerReference> = owner
        .map(|uid| OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            name: service.clone(),
            uid,
            ..OwnerReference::default()
        })
        .into_iter()
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": name(endpoint), "namespace": namespace, "ownerReferences": owners,
            "labels": {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": MANAGER},
        },
        "addressType": if ip.is_ipv6() { "IPv6" } else { "IPv4" },
        "endpoints": [{"addresses": [ip.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    })
}
