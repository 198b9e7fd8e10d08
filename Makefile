# The daily commands. Every one works on a fresh checkout; what it needs beyond a Rust toolchain it says.

.PHONY: help build image test check unit integration bench parts floor instructions compare control-plane assets tools deny fmt demo fuzz fuzz-check sbom reproducible regions crd clean

help: ## What there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/' | expand -t 18

build: ## The release binaries: target/release/arngate and arngate-lab
	cargo build --release --workspace

image: ## Build the image with buildah (BASE= names the build's base), and run its program from the built file system
	deploy/image/build $(if $(BASE),--base $(BASE))
	cargo test --locked -p arngate --test image

demo: ## How a token becomes a Kubernetes user, step by step
	cargo run --release -p arngate-lab -- demo

bench: parts floor instructions compare ## Times of the parts of a verification, and arngate beside aws-iam-authenticator

test: check unit integration control-plane ## Everything below, installing or building what is missing

check: tools ## Formatting, lints, licences and sources of dependencies, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	lab/deny

unit: ## Tests beside the code, properties included
	cargo test --workspace --lib --bins --locked

integration: assets ## The real binaries from outside, against the emulators and real clients
	cargo test --locked -p arngate $(patsubst tests/%.rs,--test %,$(wildcard tests/*.rs))
	cargo test --locked -p arngate --test fault_matrix -- --nocapture --test-threads 2
	cargo test --locked -p arngate-lab --test demo --test ec2 --test load --test sts

control-plane: assets ## A real etcd and kube-apiserver ask arngate
	cargo test --locked -p arngate-lab --test control_plane
	cargo test --locked -p arngate --test control_plane -- --nocapture --test-threads 3

fuzz: fuzz-check ## What arngate reads from others, fuzzed for a minute a target (SECONDS=60)
	fuzz/run $(or $(SECONDS),60)

fuzz-check: tools ## Formatting and lints of the fuzzers
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	RUSTFLAGS="--cfg fuzzing" cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target/fuzz -- -D warnings

sbom: ## What the release is made of, in CycloneDX's form: target/sbom/arngate.cdx.json
	lab/sbom

reproducible: ## Build the release twice, in two places, and compare (some twenty minutes)
	lab/reproducible

parts: ## Times of the parts and the whole of a verification, and what it allocates
	cargo bench --locked -p arngate --bench parts --bench verification --bench allocations

floor: ## CPU of a verification beside a server that only decodes and forwards
	cargo bench --locked -p arngate --bench floor

instructions: ## Count instructions of the parts; over 5 % more than in the last run fails (needs Valgrind)
	lab/instructions

compare: assets build ## Measure arngate beside aws-iam-authenticator (some ten minutes, an idle machine)
	target/release/arngate-lab compare

assets: ## Build etcd, kube-apiserver, kubectl, kubeadm, helm and the Go client, install the AWS CLI and moto (minutes, once)
	lab/control-plane/build

tools: ## The Rust components that the checks need
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy

fmt: ## Format
	cargo fmt --all

regions: ## Refresh src/sts/regions.rs from the AWS SDK for Python's table (needs botocore)
	lab/regions/refresh && cargo fmt -p arngate

crd: ## Generate deploy/crd/iamidentitymapping.yaml anew from its Rust type
	cargo run --quiet --locked -p arngate -- crd > deploy/crd/iamidentitymapping.yaml.new
	mv deploy/crd/iamidentitymapping.yaml.new deploy/crd/iamidentitymapping.yaml

clean: ## Remove what was built, the control plane's programs included
	cargo clean
