#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Makes what is given to others, in the folder dist (or the one given): a static tcsim, packages for Debian and Red Hat, manual
# pages, completions, a container recipe with its context, a list of components, checksums. The same commit gives the same
# bytes on the same Debian release and Go.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-dist}

step() { printf '== %s\n' "$*" >&2; }
fail() { printf 'dist: %s\n' "$*" >&2; exit 1; }

lib=$(pkg-config --variable=libdir unicorn)/libunicorn.a
[ -e "$lib" ] || fail "$lib is missing: a static tcsim needs the static libunicorn, which Debian has in libunicorn-dev"
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH GOFLAGS="-trimpath -buildvcs=auto" CGO_ENABLED=1 GOOS=linux GOARCH=amd64 GOAMD64=v1 LC_ALL=C TZ=UTC
umask 022
# 1.2.3, or 0.0.0+DATE.COMMIT without a tag.
version=$(git describe --tags --match 'v[0-9]*' --dirty=.modified 2>/dev/null | sed 's/^v//' || true)
version=${version:-0.0.0+$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d).$(git rev-parse --short=12 HEAD)}

rm -rf "$out"
mkdir -p "$out"/{man,completion}

step "tcsim $version, static"
go build -tags netgo,osusergo -o "$out/tcsim" -ldflags \
  '-s -w -buildid= -linkmode external -extldflags "-static -Wl,--build-id=none -Wl,--start-group -lunicorn -lm -lpthread -Wl,--end-group"' ./cmd/tcsim
CGO_ENABLED=0 go build -o "$out/tcsim-guest" -ldflags '-s -w -buildid=' ./cmd/tcsim/guest
# A program interpreter would be looked for on the machine that it runs on.
if LC_ALL=C readelf -lW "$out/tcsim" | grep -q INTERP; then fail "tcsim is not static"; fi

step "manual pages and completions"
"$out/tcsim" man --dir "$out/man"
gzip -9n "$out"/man/*
for shell in bash zsh fish; do "$out/tcsim" completion $shell > "$out/completion/tcsim.$shell"; done

step "components"
.ci/dist/sbom "$version" "$out/tcsim" > "$out/tcsim.spdx.json"

step "packages"
for kind in deb rpm; do
  VERSION=$version OUT=$out go tool -modfile=.ci/tools/go.mod nfpm package -f .ci/dist/nfpm.yaml -p $kind -t "$out" >&2
done

step "checksums"
cp .ci/dist/Containerfile LICENSE "$out/"
find "$out" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
(cd "$out" && find . -type f ! -name SHA256SUMS | sed 's,^\./,,' | sort | xargs sha256sum > SHA256SUMS)
step "done: $(du -sh "$out" | cut -f1) in $out"
