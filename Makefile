# SPDX-License-Identifier: GPL-2.0-only
.PHONY: dist dist-check build setup-vm setup-sources demo test short test-cpu check lint generate fixtures fuzz bench setup
.PHONY: unsetup newcomer newcomer-roots emission

build:
	@.ci/build

# Static program, packages, manual pages, checksums: into the folder dist.
dist: setup
	@.ci/dist.sh

dist-check: setup
	@.ci/dist-check

demo: build
	@.ci/demo

test: setup
	@[ -z "$$CI" ] || .ci/setup-vm
	@[ -z "$$CI" ] || .ci/setup-sources
	go test -timeout 60m ./...

short: setup
	go test -short ./...

# The processor time of the tests that "short" runs, without compiling: 90 s at most.
test-cpu: setup
	@.ci/test-cpu 90

check: setup
	@.ci/check

lint: setup
	gofmt -l . && go vet ./... && go tool staticcheck ./... && .ci/imports && .ci/english

generate:
	go generate ./...

# The object files that clang makes. They are checked in: only who changes their sources needs this.
fixtures:
	fixtures/objects/build

fuzz: setup
	@.ci/fuzz

# A newcomer's first minutes, each step timed: here, and in new Debian systems (as root, with debootstrap).
newcomer:
	@.ci/newcomer

newcomer-roots:
	@.ci/newcomer-root bookworm
	@.ci/newcomer-root trixie

# What random programs reach of emission, as docs/emission.md.
emission: setup
	go test ./scenarios/lockstep -run TestAgree -programs 400 -coverpkg=./jit/emit -coverprofile=/tmp/tcsim-emission.out
	go test ./scenarios/lockstep -run TestEmission -programs 400 -profile /tmp/tcsim-emission.out -update -count=1

bench: setup
	go test -run '^$$' -bench . ./...

setup:
	@.ci/setup

# Takes back what setup installed and added to the machine.
unsetup:
	@.ci/setup --undo

setup-vm:
	@.ci/setup-vm

setup-sources:
	@.ci/setup-sources
