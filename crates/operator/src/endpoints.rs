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
    while leader.wait_for(Leader::leads).await.is_ok() {
        let pause = match point_here(&client, &endpoint, &leader).await {
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

/// Makes the Service lead to this replica, while it leads.
///
/// # Errors
/// There is no such Service, or the API server refuses it, or does not answer.
pub async fn point_here(client: &Client, endpoint: &Endpoint, leader: &watch::Receiver<Leader>) -> Result<(), Failed> {
    let owner = service(client, &endpoint.namespace, &endpoint.service).await?;
    let absent = || Failed::Absent("lead the control Service here", format!("Service {}", endpoint.service));
    let owner = owner.ok_or_else(absent)?;
    // The call before took its time; another one's slice must not be taken back.
    if !leader.borrow().leads() {
        return Ok(());
    }
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &endpoint.namespace);
    let params = PatchParams::apply(MANAGER).force();
    let (name, patch) = (name(endpoint), Patch::Apply(slice(endpoint, owner)));
    call("write the EndpointSlice", slices.patch(&name, &params, &patch)).await.map(|_| ())
}

/// The control Service as an owner: what it owns goes with the release.
///
/// # Errors
/// The API server refuses, or does not answer.
pub async fn service(client: &Client, namespace: &str, name: &str) -> Result<Option<OwnerReference>, Failed> {
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service = call("read the control Service", services.get_opt(name)).await?;
    Ok(service.and_then(|s| s.uid()).map(|uid| OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Service".to_owned(),
        name: name.to_owned(),
        uid,
        ..OwnerReference::default()
    }))
}

/// One slice an address family, which no slice can change.
fn name(Endpoint { service, ip, .. }: &Endpoint) -> String {
    if ip.is_ipv6() { format!("{service}-ipv6") } else { service.clone() }
}

/// The slice; owned by the Service, so that it goes with it.
fn slice(endpoint: &Endpoint, owner: OwnerReference) -> Value {
    let Endpoint { namespace, service, port_name, ip, port } = endpoint;
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": name(endpoint), "namespace": namespace, "ownerReferences": [owner],
            "labels": {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": MANAGER},
        },
        "addressType": if ip.is_ipv6() { "IPv6" } else { "IPv4" },
        "endpoints": [{"addresses": [ip.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Api as Scripted;

    fn endpoint(ip: &str) -> Endpoint {
        Endpoint {
            namespace: "llmroute-system".to_owned(),
            service: "llmroute-control".to_owned(),
            port_name: "grpc".to_owned(),
            ip: ip.parse().unwrap(),
            port: 8443,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_service_is_pointed_here_with_the_lead_and_tried_again_until_it_is() {
        let (client, mut api) = Scripted::new();
        let (leader, led) = watch::channel(Leader::Unknown);
        let following = tokio::spawn(follow_leader(client, endpoint("10.0.0.9"), led));
        api.is_quiet().await;
        leader.send_replace(Leader::Me(Duration::MAX));
        let service = json!({"metadata": {"name": "llmroute-control", "uid": "s"}});
        assert_eq!(
            api.answer(200, service.clone()).await.0,
            "GET /api/v1/namespaces/llmroute-system/services/llmroute-control"
        );
        api.refuses(403).await;
        // Not installed yet: a slice without an owner would stay for good.
        api.refuses(404).await;
        api.answer(200, service).await;
        let (called, slice) = api.takes().await;
        let path = "/apis/discovery.k8s.io/v1/namespaces/llmroute-system/endpointslices/llmroute-control";
        assert_eq!(called, format!("PATCH {path}?&force=true&fieldManager=llmroute-operator"));
        assert_eq!(slice["endpoints"][0]["addresses"], json!(["10.0.0.9"]));
        assert_eq!(slice["metadata"]["ownerReferences"][0]["uid"], "s");
        leader.send_replace(Leader::Other(String::new()));
        tokio::time::advance(REFRESH * 3).await;
        api.is_quiet().await;
        drop(leader);
        following.await.unwrap();
    }

    #[test]
    fn an_address_family_has_a_slice_of_its_own() {
        for (ip, name, family) in
            [("10.0.0.9", "llmroute-control", "IPv4"), ("fd00::9", "llmroute-control-ipv6", "IPv6")]
        {
            let slice = slice(&endpoint(ip), OwnerReference { uid: "s".to_owned(), ..OwnerReference::default() });
            assert_eq!((&slice["metadata"]["name"], &slice["addressType"]), (&json!(name), &json!(family)));
        }
    }
}
