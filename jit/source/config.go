// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/source/ktree"
)

// configFile is where a kernel tree has its configuration.
const configFile = ".config"

// config is the configuration of a tree: options without CONFIG_, as they are set.
type config struct {
	shown  string
	values map[string]configValue
}

type configValue struct {
	text string
	line int
}

// readConfig returns the configuration of a tree, nil if it has none. file, if not "", is another one.
func readConfig(tree ktree.Tree, file string) (*config, error) {
	shown := tree.Shown(configFile)
	read := func() ([]byte, error) { return tree.ReadFile(configFile) }
	if file != "" {
		shown, read = file, func() ([]byte, error) { return ktree.ReadFile(file) }
	}
	text, err := read()
	if errors.Is(err, ktree.ErrNoFile) && file == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("kernel configuration %s: %v", shown, err) // not %w: the JIT's file is there
	}
	c := &config{shown: shown, values: map[string]configValue{}}
	for i, line := range bytes.Split(text, []byte("\n")) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if name, is := strings.CutPrefix(name, "CONFIG_"); ok && is {
			c.values[name] = configValue{value, i + 1}
		}
	}
	if len(c.values) == 0 {
		return nil, fmt.Errorf("kernel configuration %s: it sets no CONFIG_ option", shown)
	}
	return c, nil
}

// on reports whether one of several options is built in.
func (c *config) on(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return c.values[n].text == "y" })
}

// fact is an option as the C file sees it; "n" is one that it does not see.
func (c *config) fact(name string) ktree.Fact {
	v, set := c.values[name]
	f := ktree.Fact{Name: "CONFIG_" + name, Value: "n", From: c.shown}
	if set {
		f.From = fmt.Sprintf("%s:%d", c.shown, v.line)
		switch v.text {
		case "y":
			f.Value = "1"
		case "m": // what the C file can ask of a module's option is not whether it is built in
		default:
			f.Value = v.text
		}
	}
	return f
}

// options are those of each property of a target, under the names that they have had.
var (
	optionsIBT       = []string{"X86_KERNEL_IBT"}
	optionsSLS       = []string{"SLS", "MITIGATION_SLS"}
	optionsRetpoline = []string{"RETPOLINE", "MITIGATION_RETPOLINE"}
	optionsRethunk   = []string{"RETHUNK", "MITIGATION_RETHUNK"}
	optionsDepth     = []string{"CALL_DEPTH_TRACKING", "MITIGATION_CALL_DEPTH_TRACKING"}
	optionsCFI       = []string{"CFI", "CFI_CLANG"}
)

// featureNeeds are the options without which a kernel cannot have a feature.
var featureNeeds = map[string][][]string{
	"retpoline": {optionsRetpoline}, "lfence": {optionsRetpoline}, "inline": {optionsRetpoline},
	"its": {optionsRethunk}, "unret": {optionsRethunk}, "srso": {optionsRethunk}, "srsoalias": {optionsRethunk},
	"stuff": {optionsRetpoline, optionsRethunk, optionsDepth}, "kcfi": {optionsCFI}, "fineibt": {optionsCFI, {"FINEIBT"}},
}

// check reports features that the configuration leaves out.
func (c *config) check(features []string) error {
	var errs []error
	for _, f := range features {
		for _, any := range featureNeeds[f] {
			if !c.on(any...) {
				errs = append(errs, fmt.Errorf("feature %q: %s does not set CONFIG_%s=y", f, c.shown, strings.Join(any, " or CONFIG_")))
			}
		}
	}
	return errors.Join(errs...)
}

// cfiFeature is the feature that stands for the kind of CFI that a kernel of this configuration chooses at boot,
// "" if none or if features say it.
func (c *config) cfiFeature(features []string) string {
	said := slices.ContainsFunc(features, func(f string) bool { return f == "kcfi" || f == "fineibt" })
	switch {
	case said || !c.on(optionsCFI...):
		return ""
	case c.on("FINEIBT") && c.on(optionsIBT...):
		return "fineibt"
	}
	return "kcfi"
}

var retpolineSLS = regexp.MustCompile(`IS_ENABLED\(CONFIG_(MITIGATION_)?RETPOLINE\)`)

// apply lets a target have what the configuration decides and no feature of its name does.
func (c *config) apply(t *jit.Target, text []byte, features []string) {
	free := func(words ...string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return slices.Contains(features, w) })
	}
	if free("endbr", "noendbr") {
		t.Emit.ENDBR = c.on(optionsIBT...)
	}
	if free("sls", "nosls") {
		t.Emit.SLS = c.on(optionsSLS...)
	}
	if free("sls", "jumpsls", "nojumpsls") {
		// Since 6.2 and in stable trees either of the two puts int3 after a plain indirect jump.
		t.Emit.JumpSLS = t.Emit.SLS || c.on(optionsRetpoline...) && retpolineSLS.Match(text)
	}
}
