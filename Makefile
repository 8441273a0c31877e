# SPDX-License-Identifier: GPL-2.0-only
.PHONY: build test setup
setup:
	@.ci/setup
build: setup
	go build -o tcsim ./cmd/tcsim
test: setup
	go test ./...
