# SPDX-License-Identifier: GPL-2.0-only
.PHONY: dist dist-check build setup-vm setup-sources demo test short test-cpu check lint generate fixtures fuzz bench setup
.PHONY: unsetup dist dist-check build setup-vm setup-sources demo test short check lint generate fixtures fuzz bench setup

build: setup
	go build -o tcsim ./cmd/tcsim
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -o tcsim-guest ./cmd/tcsim/guest

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
