// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// allowed are what licences say that can be linked with GPL-2.0-only code. Apache-2.0 cannot.
var allowed = regexp.MustCompile(`(?i)MIT License|Permission is hereby granted, free of charge|Redistribution and use in source and binary forms|` +
	`free and unencumbered software released into the public domain|GNU GENERAL PUBLIC LICENSE\s+Version 2`)

// TestLicences reads the licence of every module in the binary, and expects each in docs/rationale.md with a reason.
func TestLicences(t *testing.T) {
	t.Chdir("../..")
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Dir}}{{end}}", "./cmd/tcsim").Output()
	if err != nil {
		t.Fatal(err)
	}
	reasons, err := os.ReadFile("docs/rationale.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{"github.com/tcsim/tcsim": true}
	for line := range strings.Lines(string(out)) {
		module, dir, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || seen[module] {
			continue
		}
		seen[module] = true
		if !strings.Contains(string(reasons), "| `"+module+"` |") {
			t.Errorf("docs/rationale.md gives no reason for %s", module)
		}
		if why := licence(t, dir); why != "" {
			t.Errorf("%s: %s", module, why)
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d modules: %s", len(seen), out)
	}
}

// licence says what is wrong with the licence of a module, "" if nothing is.
func licence(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range files {
		name := strings.ToUpper(filepath.Base(f))
		if !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "UNLICEN") && name != "COPYING" {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "Apache License") {
			return "Apache-2.0, which cannot be linked with GPL-2.0-only code"
		}
		if allowed.Match(text) {
			found = true
		}
	}
	if !found {
		return "no licence that is known to go with GPL-2.0-only"
	}
	return ""
}

// TestLicenceRefused: an Apache licence is found, and so is a missing one.
func TestLicenceRefused(t *testing.T) {
	for text, want := range map[string]bool{
		"Apache License\nVersion 2.0": true, "All rights reserved.": true, "MIT License\n": false,
	} {
		dir := filepath.Dir(write(t, "LICENSE", text))
		if got := licence(t, dir); (got != "") != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
