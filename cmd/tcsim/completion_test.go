// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tcsim/tcsim/cmd/tcsim/manual"
)

// asShell is how each shell is asked what a command line, $LINE, can become, with the script sourced: a word a line. Bash
// has no bash-completion here, and no user's files are read.
var asShell = map[string][]string{
	"bash": {"bash", "--noprofile", "--norc", "-c", `
		source <(tcsim completion bash)
		COMP_LINE=$LINE COMP_POINT=${#LINE} COMP_TYPE=9 COMP_WORDBREAKS=$' \t\n"'\''><=;|&(:'
		_tcsim
		printf '%s\n' "${COMPREPLY[@]}"`},
	"fish": {"fish", "--no-config", "-c", `
		tcsim completion fish | source
		complete -C "$LINE" | string replace -r '\t.*' ''; true`},
	// zsh completes in an editor only: the functions that show matches are replaced by some that print them.
	"zsh": {"zsh", "-f", "-c", `
		compdef() { :; }
		_describe() { local k; for k in "${(@P)3}"; do k=${k//\\:/$'\1'}; k=${k%%:*}; print -r -- "${k//$'\1'/:}"; done }
		_files() { :; }
		source <(tcsim completion zsh)
		words=("${(@s: :)LINE}"); CURRENT=$#words; PREFIX=${words[-1]}
		_tcsim`},
}

// TestCompletion has each shell complete command lines.
func TestCompletion(t *testing.T) {
	if testing.Short() {
		t.Skip("only in full runs")
	}
	t.Chdir("../..")
	for _, shell := range manual.Shells() {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				needs(t, shell)
			}
			for line, want := range map[string]string{
				"tcsim expl":                              "explore",
				"tcsim run hierarchy_l":                   "hierarchy_limit_4",
				"tcsim run hierarchy --target 6.12,7.2-r": "6.12,7.2-retpoline",
				"tcsim run hierarchy --tar":               "--target",
				"tcsim trace chain33 --core ze":           "zen5",
				"tcsim trace chain33 --only poke,ta":      "poke,tailcall",
				"tcsim list mom":                          "moments",
				"tcsim help scenario-f":                   "scenario-format",
				"tcsim new tr":                            "trampoline",
				"tcsim stack hierarchy --at viol":         "violation",
				"tcsim explore chain33 --update del":      "delete-empty",
			} {
				if got := completed(t, shell, line); !slices.Contains(got, want) {
					t.Errorf("%s: %q, want %s", line, got, want)
				}
			}
			// Bash takes the colon for the end of a word.
			want := map[string]string{"bash": "tailcall"}[shell]
			if want == "" {
				want = "each:tailcall"
			}
			if got := completed(t, shell, "tcsim stack hierarchy --at each:ta"); !slices.Equal(got, []string{want}) {
				t.Errorf("each:ta: %q", got)
			}
		})
	}
}

func completed(t *testing.T, shell, line string) []string {
	t.Helper()
	cmd := exec.Command(asShell[shell][0], asShell[shell][1:]...)
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "tcsim")); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "LINE="+line)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return strings.Fields(string(out))
}

// needs skips a test for which the machine lacks a program; in CI that fails.
func needs(t *testing.T, program string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("needs %s, which .ci/setup-vm installs", program)
	}
	t.Skipf("needs %s", program)
}
