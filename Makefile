# SPDX-License-Identifier: GPL-2.0-only
.PHONY: build demo test short check lint generate fixtures fuzz bench setup

build: setup
	go build -o tcsim ./cmd/tcsim

demo: build
	@.ci/demo

test: setup
	go test -timeout 60m ./...

short: setup
	go test -short ./...

check: setup
	@.ci/check

lint: setup
	gofmt -l . && go vet ./... && go tool staticcheck ./... && .ci/imports

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
