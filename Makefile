# One profile, release, so that the dependencies are compiled once.
SHELL := /bin/bash
export PATH := $(CURDIR)/.cache/bin:$(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help setup setup-build setup-lint setup-dist build dist dist-test chart-test kube-test oci-test mlserver-test kserve-test release demo test soak simulation simulate fuzz bench pictures lint imports clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install what building and testing need (Debian packages, Kafka); nothing happens where all is there
	@tests/support/setup.sh test

setup-build setup-lint setup-dist: setup-%:
	@tests/support/setup.sh $*

build: setup-build ## build target/release/driftgate
	cargo build --release --locked

TARGET ?=
dist: setup-dist ## build what is released into target/dist, for TARGET (this machine's) or aarch64-unknown-linux-gnu: archive with SBOM, Debian package, wheel, SHA-256
	@tests/support/dist.sh $(TARGET)

release: dist

dist-test: setup-dist ## install what is in target/dist as a user would, and run it
	@tests/support/dist_test.sh

chart-test: setup ## render the Helm chart for each of its files of values, and have an API server of Kubernetes take the objects: built once, in a quarter of an hour
	cargo build --release --locked
	@tests/support/kube.sh build .cache/kube
	@trap 'tests/support/kube.sh stop .cache/kube' EXIT; tests/support/kube.sh start .cache/kube 16443 && tests/support/kube.sh resources .cache/kube && \
	tests/support/chart.sh --server .cache/kube/kubeconfig

kube-test: setup ## run the tests of traffic routers against an API server of Kubernetes, with Argo Rollouts and Flagger: built once, in twenty-five minutes
	@tests/support/kube.sh build .cache/kube
	@tests/support/kube.sh controllers .cache/kube
	@trap 'tests/support/kube.sh stop .cache/kube' EXIT; tests/support/kube.sh start .cache/kube 16443 && tests/support/kube.sh resources .cache/kube && \
	DRIFTGATE_TEST_KUBE=$(CURDIR)/.cache/kube/kubeconfig tests/support/test.sh --test main -- --include-ignored routing::

oci-test: setup ## run the tests of attestations against two registries of OCI artifacts, with cosign: built once, in some minutes
	@tests/support/oci.sh build .cache/oci
	@trap 'tests/support/oci.sh stop .cache/oci' EXIT; DRIFTGATE_TEST_OCI=$$(tests/support/oci.sh start .cache/oci 15500) && export DRIFTGATE_TEST_OCI && \
	DRIFTGATE_TEST_OCI_DIR=$(CURDIR)/.cache/oci tests/support/test.sh --test main -- --include-ignored oci::

mlserver-test: setup ## run the test of MLServer, which serves a model of scikit-learn on Kafka: its packages take half a gigabyte, once
	@tests/support/mlserver.sh build .cache/mlserver
	@DRIFTGATE_TEST_MLSERVER=$(CURDIR)/.cache/mlserver tests/support/test.sh --test main -- --include-ignored mlserver_served::

kserve-test: setup ## run the test of KServe's Python server, whose requests and responses are logged as KServe's logger does: its packages take half a gigabyte, once
	@tests/support/kserve.sh build .cache/kserve
	@DRIFTGATE_TEST_KSERVE=$(CURDIR)/.cache/kserve tests/support/test.sh --test main -- --include-ignored kserve_served::

demo: setup-build ## run the main job on the data in the repository, with the HTTP server; where `make build` was not run, from a binary that is built quickly, without optimisation
	@if [ -x target/release/driftgate ]; then cargo build --release --locked && target/release/driftgate demo; \
	else cargo build --profile demo --locked --bin driftgate && target/demo/driftgate demo; fi

test: setup-build ## run all tests against a Kafka broker: the one in DRIFTGATE_TEST_KAFKA, or one started for the run
	@tests/support/test.sh

soak: setup ## run the long fault tests as well
	@tests/support/test.sh -- --include-ignored faults:: bounded_memory::

simulation: setup-build ## run processes of a cluster against a model of the brokers, through every order of events within bounds, and random ones beyond
	cargo test --release --locked -p driftgate-core --lib -- --include-ignored cluster::simulation shard::simulation

simulate: setup ## simulate how often rules block without drift, and which shift they find: writes docs/reference/rules.md in some minutes
	cargo build --release --locked --bin driftgate
	.cache/notebooks/bin/python benches/simulate.py target/release/driftgate docs/reference/rules.md

SECONDS_EACH ?= 120
fuzz: setup-build ## mutate the kept inputs of tests/fuzz through every reader of foreign bytes, SECONDS_EACH (120) for each
	DRIFTGATE_FUZZ_SECONDS=$(SECONDS_EACH) DRIFTGATE_FUZZ_SEED=$${DRIFTGATE_FUZZ_SEED:-$$(date +%s)} cargo test --release --locked --workspace --test main fuzz::

bench: setup ## measure, beside a Kafka started for the run, and write docs/benchmarks.md and the six numbers of the README
	@benches/run.sh

pictures: setup ## write the pictures of the pages in docs/images anew
	DRIFTGATE_WRITE_PICTURES=1 cargo test --release --locked -p driftgate --lib -- http::tests::pictures

lint: setup-lint ## check format, lints, dependencies (advisories, licences, sources), images by digest, and shell scripts and alert rules where their tools are installed
	@tests/support/lint.sh

imports: ## print which module imports from which, and what breaks a rule of tests/imports
	@mkdir -p .cache && rustc --edition 2024 -A warnings --test --crate-name imports tests/imports/mod.rs -o .cache/imports
	@.cache/imports --nocapture --test-threads 1

clean: ## remove what was built and fetched
	@if [ -d .cache/kafka ]; then tests/support/kafka.sh stop .cache/kafka; fi
	cargo clean
	rm -rf .cache
