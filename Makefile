# Everything a person or CI does with this repository. `make help` lists it.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

CACHE := .cache
VENV := $(CACHE)/venv
PY := $(VENV)/bin/python
CARGO_TOOLS := $(CACHE)/tools
CLUSTER_BIN := $(CACHE)/cluster/bin
# A cluster that runs, of KUBECONFIG, is used instead of ours.
EXISTING := $(filter true,$(USE_EXISTING_CLUSTER))
# What runs in our clusters, unless LLMROUTE_IMAGES names a directory of other images, or of programs.
OWN_IMAGES := $(if $(EXISTING)$(LLMROUTE_IMAGES),,test-images)
# Where `bins` puts the programs that demo and suites run.
export LLMROUTE_BIN_DIR ?= $(abspath $(or $(CARGO_TARGET_DIR),target)/debug)

##@ Daily
.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: check
check: fmt clippy unit ## fast: format, lints, unit tests

.PHONY: fmt
fmt: ## formatting
	cargo fmt --all --check

.PHONY: clippy
clippy: ## lints, warnings are errors
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: unit
unit: ## tests beside the code and of the crates alone
	cargo test --locked -p policy -p dialect -p api -p control -p sidecar -p operator -p sim
	cargo test --locked -p llmroute-tests --test bounds

.PHONY: gen
gen: ## write generated files anew: crds/, the contract's code, the list of metrics
	LLMROUTE_GENERATE=1 cargo test --locked -p api -- crd
	LLMROUTE_GENERATE=1 cargo test --locked -p control --test generated
	LLMROUTE_GENERATE=1 cargo test --locked -p sidecar --lib -- the_list_of_metrics

##@ Everything that must pass
.PHONY: test
test: fmt clippy unit docs loopback sdk readme purity chart operator-tests cluster-tests ## everything, installing what it needs
	@echo "make test: all parts passed"

.PHONY: docs
docs: ## documentation builds without warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

.PHONY: bins
bins: ## the sidecar and the simulator, debug build
	cargo build --locked -p sidecar -p sim

.PHONY: loopback
loopback: bins prometheus ## stories over real sockets
	cargo test --locked -p llmroute-tests --test it

.PHONY: prometheus
# The package would start a server of its own at boot, but for RUNLEVEL.
prometheus: ## installs the one that scrapes the sidecar in a test, where it is missing
	command -v prometheus >/dev/null && command -v promtool >/dev/null || \
	  { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus; }

.PHONY: sdk
sdk: bins $(VENV)/.frameworks tests/sdk/node_modules/.done ## official SDKs, frameworks and agents, every cell of the tables
	tests/sdk/run

.PHONY: operator-tests
operator-tests: apiserver ## stories of the control plane at a real API server
	cargo test --locked -p llmroute-tests --test operator

.PHONY: cluster-tests
cluster-tests: $(if $(EXISTING),$(CLUSTER_BIN)/helm,cluster-bins) $(OWN_IMAGES) $(VENV)/.done ## a real node: install, pods with their sidecars, nothing left behind
	$(PY) -m pytest -q -s --tb=short -p no:cacheprovider tests/cluster

.PHONY: readme
readme: bins $(VENV)/.done ## the documents are true; their commands run in a fresh clone, `make demo` among them
	$(PY) -m pytest -q -s --tb=short -p no:cacheprovider tests/readme tests/demo

.PHONY: purity
purity: ## what must not be compiled into a crate is not
	tests/purity

##@ To see it run
.PHONY: demo
demo: bins $(VENV)/.done ## the main job, no cluster and no keys: an outage and a spent budget, told as they happen
	$(PY) tests/demo/demo.py

$(VENV)/.done: tests/sdk/requirements.txt
	python3 -c 'import ensurepip' 2>/dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; }
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# Apart, so that the demo need not wait for them.
$(VENV)/.frameworks: tests/sdk/frameworks.txt $(VENV)/.done
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

tests/sdk/node_modules/.done: tests/sdk/package-lock.json
	cd tests/sdk && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $(abspath $@)

##@ A real Kubernetes
# Each program is built from a pinned Go module in tests/cluster/go, two packages at a time unless GOFLAGS says otherwise.
# Cold, on two cores: 15 minutes for all, 5 of them for `apiserver`; then Go's cache makes it seconds.
KUBERNETES := kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl
CONTAINERD := containerd containerd-shim-runc-v2 ctr
in_bin = $(addprefix $(CLUSTER_BIN)/,$(1))
go_build = mkdir -p $(@D); CGO_ENABLED=$(or $(3),0) GOFLAGS=$${GOFLAGS:--p=2} go build -C $(<D) -trimpath -ldflags "-s -w $(2)" -o $(abspath $@) $(1)

.PHONY: apiserver
# What is given is taken: assets of envtest, or a cluster that runs.
apiserver: $(if $(KUBEBUILDER_ASSETS)$(EXISTING),,$(call in_bin,etcd kube-apiserver kubectl)) ## etcd, kube-apiserver and kubectl: what most tests need

.PHONY: cluster-bins
cluster-bins: $(call in_bin,$(KUBERNETES) $(CONTAINERD) etcd coredns helm runc pause) cluster-packages ## all that a node needs

.PHONY: cluster
cluster: cluster-bins $(OWN_IMAGES) $(VENV)/.done ## a one-node Kubernetes with llmroute and the simulator, to try things in
	tests/cluster/cluster up

.PHONY: cluster-down
cluster-down: ## ends it
	tests/cluster/cluster down

# What is not built: the pods' network, the tools of the node's own, and a static program for test images.
PACKAGES := containernetworking-plugins nftables iproute2 conntrack openssl busybox-static
# What runc and pause are built with.
PACKAGES += gcc libc6-dev libseccomp-dev pkg-config

.PHONY: cluster-packages
cluster-packages: ## installs Debian packages of the node where they are missing
	dpkg -s $(PACKAGES) >/dev/null 2>&1 || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES); }

KUBE_VERSION = $(shell sed -n 's,.*k8s.io/kubernetes \(v[0-9.]*\).*,\1,p' tests/cluster/go/kubernetes/go.mod)
KUBE_MINOR = $(word 2,$(subst ., ,$(KUBE_VERSION)))
# Without these flags clients read v0.0.0.
kube_stamp = $(foreach pair,gitVersion=$(KUBE_VERSION) gitMajor=1 gitMinor=$(KUBE_MINOR),-X k8s.io/component-base/version.$(pair))
$(call in_bin,$(KUBERNETES)): tests/cluster/go/kubernetes/go.sum
	$(call go_build,k8s.io/kubernetes/cmd/$(@F),$(kube_stamp))

$(call in_bin,$(CONTAINERD)): tests/cluster/go/containerd/go.sum
	$(call go_build,github.com/containerd/containerd/v2/cmd/$(@F))

$(call in_bin,etcd): tests/cluster/go/etcd/go.sum
	$(call go_build,go.etcd.io/etcd/server/v3)

$(call in_bin,coredns): tests/cluster/go/coredns/go.sum
	$(call go_build,github.com/coredns/coredns)

$(call in_bin,helm): tests/cluster/go/helm/go.sum
	$(call go_build,helm.sh/helm/v4/cmd/helm)

$(call in_bin,runc): tests/cluster/go/runc/go.sum | cluster-packages
	$(call go_build,-tags seccomp github.com/opencontainers/runc,,1)

$(call in_bin,pause): tests/cluster/pause.c | cluster-packages
	mkdir -p $(@D)
	gcc -static -O2 -s -o $@ $<

.PHONY: chart
chart: $(call in_bin,helm) prometheus ## the chart: lint, goldens, what it says and what the programs have, its alerts
	cargo test --locked -p llmroute-tests --test chart

.PHONY: gen-chart
gen-chart: $(call in_bin,helm) prometheus ## write what is rendered from the chart anew: manifests/install.yaml, its goldens
	LLMROUTE_GENERATE=1 cargo test --locked -p llmroute-tests --test chart -- rendered

##@ To ship it
# Static against glibc: its allocator and resolver are those that are measured, and the image holds nothing else.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
PROFILE ?= release
STATIC = $(or $(CARGO_TARGET_DIR),target)/$(HOST)/$(patsubst dev,debug,$(PROFILE))
IMAGES := operator sidecar sim
# How often a sidecar under load takes which way: the compiler puts the busy ways together.
LOAD_PROFILE := crates/sidecar/load.profdata
static_flags := -C target-feature=+crt-static
used_profile = $(if $(filter release,$(PROFILE)), -C profile-use=$(abspath $(LOAD_PROFILE)))

STATIC_PROGRAMS := $(IMAGES:%=static-%)
.PHONY: static
static: $(STATIC_PROGRAMS) ## release programs that need nothing of the machine they run on

# One by one: together they would share features.
.PHONY: $(STATIC_PROGRAMS)
$(STATIC_PROGRAMS): static-%:
	RUSTFLAGS="$(static_flags)$(used_profile)" CARGO_PROFILE_DEV_DEBUG=0 \
	  cargo build --locked --profile $(PROFILE) --target $(HOST) -p $*

TRAINING = $(abspath $(or $(CARGO_TARGET_DIR),target))/training
.PHONY: profile
profile: bench-peers ## takes the profile that release builds are optimised by anew, at the loads of the benchmark
	rustup component add llvm-tools
	rm -rf $(TRAINING)/seen
	RUSTFLAGS="$(static_flags) -C profile-generate=$(TRAINING)/seen" \
	  cargo build --locked --release --target $(HOST) --target-dir $(TRAINING) -p sidecar
	tests/bench/run --only llmroute --scenarios load --reps 1 --sidecar $(TRAINING)/$(HOST)/release/llmroute-sidecar
	"$$(rustc --print sysroot)/lib/rustlib/$(HOST)/bin/llvm-profdata" merge --sparse --output $(LOAD_PROFILE) $(TRAINING)/seen

.PHONY: images
images: static ## container images in dist/images, without a Docker daemon
	for name in $(IMAGES); do
	  image=llmroute.dev/$$name:dev archive=dist/images$(patsubst %,-%,$(filter-out release,$(PROFILE)))/llmroute-$$name.tar
	  manifests/images/make.py $$image $(STATIC)/llmroute-$$name $$archive
	  manifests/images/check.py $$image $$archive
	done

.PHONY: test-images
# The same in all but optimisation, which takes most of the time that `images` does.
test-images: ## the same in dist/images-dev, of debug builds: what tests and `make cluster` use
	$(MAKE) --no-print-directory images PROFILE=dev

##@ Measuring
.PHONY: bench
bench: bench-peers bench-ledger ## the release sidecar beside nginx, haproxy, bare hyper and direct; fails above the bars
	tests/bench/run

.PHONY: bench-control
# In two builds: together they would share features, and the operator would not be the one that ships.
bench-control: apiserver ## an operator with a thousand sidecars at a real API server; fails above the bars
	cargo build --locked --release -p operator
	cargo bench --locked -p llmroute-tests --bench control

.PHONY: bench-ledger
bench-ledger: ## what a hold and its settlement cost: two budgets; ten budgets and 100,000 tenants; fails above the bars
	cargo bench --locked -p policy --bench ledger

.PHONY: bench-peers
bench-peers: ## installs nginx and haproxy where they are missing
	command -v nginx >/dev/null && command -v haproxy >/dev/null || \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light haproxy; }

SEEDS ?= 10000..30000
.PHONY: soak
soak: ## shared caps in virtual time: twenty thousand worlds, or those of SEEDS=FROM..TO, and a thousand busy pods
	LLMROUTE_SEEDS=$(SEEDS) cargo test --locked -p policy --lib -- --include-ignored ledger::lend::sim

.PHONY: mutants
mutants: $(CARGO_TOOLS)/bin/cargo-mutants ## cargo-mutants on a random shard of policy and dialect
	shard=$${SHARD:-$$((RANDOM % 24))/24}; echo "shard $$shard"
	PATH=$(abspath $(CARGO_TOOLS))/bin:$$PATH cargo mutants -p policy -p dialect --shard $$shard --output $(CACHE)

.PHONY: fuzz
fuzz: ## a million mutated inputs for every parser of foreign bytes
	LLMROUTE_FUZZ=1000000 cargo test --locked --release -p dialect --test fuzz -- --nocapture
	LLMROUTE_FUZZ=1000000 cargo test --locked -p api -p sidecar --lib -- fuzz upstream::tests --nocapture

$(CARGO_TOOLS)/bin/cargo-mutants:
	cargo install --locked --quiet --root $(CARGO_TOOLS) cargo-mutants@27.1.0

.PHONY: deny
deny: $(CARGO_TOOLS)/bin/cargo-deny ## licences, sources and banned crates
	$(CARGO_TOOLS)/bin/cargo-deny --locked check licenses bans sources

$(CARGO_TOOLS)/bin/cargo-deny:
	cargo install --locked --quiet --root $(CARGO_TOOLS) cargo-deny@0.20.2
