#!/usr/bin/env bash
# inside.sh BIN HOME CGROUP: the node's first process, in net, mount and pid namespaces of its own; whatever ends it ends
# all. Writes HOME/up once the node is Ready. See README.md.
set -euo pipefail
bin=$1 home=$2 cgroup=$3
node=192.0.2.10 pods=10.244.0.0/16 services=10.96.0.0/16 api=10.96.0.1 dns=10.96.0.10
export PATH=$bin:/usr/sbin:/sbin:$PATH KUBECONFIG=$home/pki/admin.yaml KUBECACHEDIR=$home/kubectl
export CONTAINERD_ADDRESS=/run/containerd/containerd.sock CONTAINERD_NAMESPACE=k8s.io CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=true
cd "$home"
mkdir -p pki log pids down cni pod-logs containerd var-lib/{upper,work}

# What daemons write into fixed places goes into HOME or away with the node.
mount --make-rprivate /
mount -t tmpfs tmpfs /run
# Images and containers: thousands of files, which a disk takes most of a minute to forget.
mount -t tmpfs tmpfs containerd
mount --bind pod-logs /var/log
[[ $home == /var/lib/* ]] || mount -t overlay overlay -o lowerdir=/var/lib,upperdir="$home/var-lib/upper",workdir="$home/var-lib/work" /var/lib

# Pods get cgroups below one of the node's own, in each hierarchy of cgroup v1 or in the one of v2. A new cpuset of v1 has none.
tops=(/sys/fs/cgroup)
[ -e /sys/fs/cgroup/cgroup.procs ] || tops=(/sys/fs/cgroup/*/)
for top in "${tops[@]}"; do
  mkdir -p "$top/$cgroup"
  for file in cpuset.cpus cpuset.mems; do [ ! -e "$top/$file" ] || cat "$top/$file" >"$top/$cgroup/$file"; done
done

# No `dummy` links everywhere, and kubelet refuses an address of loopback: the node's are those of a bridge.
ip link set lo up
ip link add node0 type bridge
ip addr add $node/24 dev node0
ip link set node0 up
ip route add default dev node0
sysctl -qw net.ipv4.ip_forward=1

# Certificates, and a kubeconfig for each who has one.
key() { openssl ecparam -name prime256v1 -genkey -noout -out "pki/$1.key"; }
key ca
openssl req -x509 -new -key pki/ca.key -out pki/ca.crt -days 365 -subj /CN=cluster
key tokens
openssl ec -in pki/tokens.key -pubout -out pki/tokens.pub 2>/dev/null
names=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,DNS:node0,IP:127.0.0.1,IP:$node,IP:$api
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' $names >pki/extensions
inline() { base64 -w0 "pki/$1"; }
user() { # name subject
  key "$1"
  openssl req -new -key "pki/$1.key" -subj "$2" |
    openssl x509 -req -CA pki/ca.crt -CAkey pki/ca.key -out "pki/$1.crt" -days 365 -extfile pki/extensions 2>/dev/null
  cat >"pki/$1.yaml" <<Y
apiVersion: v1
kind: Config
clusters: [{name: cluster, cluster: {server: "https://$node:6443", certificate-authority-data: $(inline ca.crt)}}]
users: [{name: user, user: {client-certificate-data: $(inline "$1.crt"), client-key-data: $(inline "$1.key")}}]
contexts: [{name: cluster, context: {cluster: cluster, user: user}}]
current-context: cluster
Y
}
user apiserver /CN=kube-apiserver
user admin /O=system:masters/CN=admin
user kubelet /O=system:nodes/CN=system:node:node0
user controllers /CN=system:kube-controller-manager
user scheduler /CN=system:kube-scheduler
user proxy /CN=system:kube-proxy

# Keeps a daemon running: one that is killed comes back after half a second, unless down/NAME is there.
keep() { # name command...
  local name=$1
  shift
  while :; do
    if [ ! -e "down/$name" ]; then
      "$@" >>"log/$name" 2>&1 &
      echo $! >"pids/$name"
      wait $! || true
    fi
    sleep .5
  done &
}
until_it_works() {
  for _ in $(seq 300); do
    "$@" >/dev/null 2>&1 && return
    sleep .1
  done
  echo "gave up on: $*"
  exit 1
}

# As in the harness of the API server alone: a crash of the machine may lose what was written.
keep etcd etcd --data-dir etcd --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
  --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
keep apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 --advertise-address $node --service-cluster-ip-range $services \
  --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key --client-ca-file pki/ca.crt \
  --service-account-issuer https://kubernetes.default.svc --service-account-key-file pki/tokens.pub \
  --service-account-signing-key-file pki/tokens.key --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
  --kubelet-client-certificate pki/admin.crt --kubelet-client-key pki/admin.key --kubelet-certificate-authority pki/ca.crt \
  --kubelet-preferred-address-types InternalIP --allow-privileged
keep controllers kube-controller-manager --kubeconfig pki/controllers.yaml --service-account-private-key-file pki/tokens.key \
  --root-ca-file pki/ca.crt --use-service-account-credentials --leader-elect=false --allocate-node-cidrs --cluster-cidr $pods
keep scheduler kube-scheduler --kubeconfig pki/scheduler.yaml --leader-elect=false

# restrict_oom_score_adj: for a root that may not lower it.
cat >containerd.toml <<T
version = 3
root = "$home/containerd"
state = "/run/containerd/state"
[grpc]
  address = "$CONTAINERD_ADDRESS"
[plugins.'io.containerd.internal.v1.opt']
  path = "$home/opt"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "llmroute.dev/pause:dev"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$home/cni"
T
cat >cni/pods.conflist <<J
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": {"type": "host-local",
    "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$home/addresses"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
J
keep containerd containerd --config containerd.toml
until_it_works ctr version
ctr images import pause.tar >/dev/null

until_it_works kubectl get --raw /readyz
: >resolv.conf
cat >kubelet.yaml <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://$CONTAINERD_ADDRESS
clusterDomain: cluster.local
clusterDNS: [$dns]
resolvConf: $home/resolv.conf
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $home/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $home/pki/kubelet.crt
tlsPrivateKeyFile: $home/pki/kubelet.key
evictionHard: {nodefs.available: "1%", imagefs.available: "1%", memory.available: 100Mi}
Y
keep kubelet kubelet --config kubelet.yaml --kubeconfig pki/kubelet.yaml --root-dir "$home/kubelet" --node-ip $node \
  --hostname-override node0
cat >proxy.yaml <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $pods
clientConnection: {kubeconfig: $home/pki/proxy.yaml}
conntrack: {maxPerCore: 0, min: 0}
Y
keep proxy kube-proxy --config proxy.yaml --hostname-override node0
cat >Corefile <<C
.:53 {
  bind $node
  errors
  kubernetes cluster.local {
    kubeconfig $KUBECONFIG cluster
  }
}
C
keep dns coredns -conf Corefile

until_it_works kubectl wait --for=condition=Ready node/node0 --timeout=1s
until_it_works kubectl get serviceaccount default
kubectl apply -f - >/dev/null <<Y
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: $dns, ports: [{name: dns, protocol: UDP, port: 53}, {name: dns-tcp, protocol: TCP, port: 53}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [$node], conditions: {ready: true}}]
ports: [{name: dns, protocol: UDP, port: 53}, {name: dns-tcp, protocol: TCP, port: 53}]
Y
touch up
wait
