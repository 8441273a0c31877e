// SPDX-License-Identifier: GPL-2.0-only

// Mutate makes small wrong edits of the packages that judge code and says which of them no test notices.
//
//	go run ./.ci/mutate [-n 300] [-seed 1] [-only emu/count] [-list] [-id N,...] [-stages N]
//
// All edits are compiled into one test binary for each package of tests, in which a variable of the environment chooses
// one: comparisons by another one, operands of "and" and "or" left out, conditions turned round, statements left out.
// An edit is killed if a test fails, panics, or takes more than ten times as long. Those that are known to survive stand
// in .ci/mutate/survivors.txt with the reason; another one that survives ends with exit code 1. It takes about a quarter of an
// hour for 300 edits on two cores, so it is not part of CI.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// judges are the tests that are to notice an edit of a package, the quick ones first: packages of tests, each with the
// tests in it that count.
var judges = []struct {
	edited string
	tests  []tests
}{
	{"emu/count", []tests{short("emu/count", "."), short("scenarios/runner", "Count|Growth")}},
	{"emu/explore", []tests{short("emu/explore", "."), short("scenarios/interleave", ".")}},
	{"emu/check", []tests{short("emu/check", "."), whole("scenarios/runner", runs), short("scenarios/replay", "Edits|Entry|Site|Fault|Tramp")}},
	{"emu/interp", []tests{short("emu/interp", "."), short("scenarios/lockstep", "Agree|Found"), short("scenarios/runner", "Library|Interrupt|Tramp|Exception")}},
	{"emu/trace", []tests{
		short("emu/trace", "."), short("emu/check", "."), short("emu/stack", "."), whole("scenarios/runner", runs), short("scenarios/runner", "Film|Moments|Count"),
	}},
}

// runs are tests that judge runs of wrong and of right code.
const runs = "Mutations|Broken|Below|Exception|Tramp|OneFrame|Blind|Poke|Interrupt"

// short are tests with -short, whole those without.
func short(pkg, run string) tests { return tests{pkg, run, "-test.short=true"} }
func whole(pkg, run string) tests { return tests{pkg, run, "-test.short=false"} }

type tests struct{ pkg, run, short string }

// mutant is one edit.
type mutant struct {
	id       int
	pkg      string
	place    string // file:line:col
	function string
	what     string // "a < b -> a <= b"
}

// key is what the list of survivors has: it does not change when lines move.
func (m *mutant) key() string { return m.pkg + " " + m.function + ": " + m.what }

var (
	count = flag.Int("n", 300, "how many edits, drawn at random; 0 for all")
	seed  = flag.Uint64("seed", 1, "what they are drawn from")
	only  = flag.String("only", "", "only edits of this package")
	list  = flag.Bool("list", false, "print all edits and make none")
	one   = flag.String("id", "", "make only the edits of these numbers, separated by commas")
	stage = flag.Int("stages", 0, "ask only the first so many packages of tests of an edit, for a quick look; 0 for all")
	jobs  = flag.Int("jobs", 2, "how many tests run at a time")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run() error {
	for i := range judges {
		if n := *stage; n > 0 && n < len(judges[i].tests) {
			judges[i].tests = judges[i].tests[:n]
		}
	}
	dir, err := os.MkdirTemp("", "tcsim-mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	all, overlay, err := editAll(dir)
	if err != nil {
		return err
	}
	if *list {
		for i := range all {
			fmt.Printf("%d %s %s\n", all[i].id, all[i].place, all[i].key())
		}
		return nil
	}
	chosen := choose(all)
	bins, err := build(dir, overlay, chosen)
	if err != nil {
		return err
	}
	return judge(chosen, bins)
}

func choose(all []mutant) []mutant {
	var out []mutant
	for _, m := range all {
		if (*only == "" || m.pkg == *only) && (*one == "" || slices.Contains(strings.Split(*one, ","), fmt.Sprint(m.id))) {
			out = append(out, m)
		}
	}
	if *count > 0 && *count < len(out) {
		r := rand.New(rand.NewPCG(*seed, 0))
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
		out = out[:*count]
		slices.SortFunc(out, func(a, b mutant) int { return a.id - b.id })
	}
	return out
}

// editAll writes every package with all its edits, and an overlay that puts it in place of the real one.
func editAll(dir string) (all []mutant, overlay string, err error) {
	replace := map[string]string{}
	for _, j := range judges {
		files, err := filepath.Glob(filepath.Join(j.edited, "*.go"))
		if err != nil {
			return nil, "", err
		}
		name := ""
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			e := &editor{fset: token.NewFileSet(), pkg: j.edited, next: len(all) + 1}
			text, err := e.file(file)
			if err != nil {
				return nil, "", err
			}
			name = e.name
			all = append(all, e.found...)
			to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
			if err := os.WriteFile(to, text, 0o600); err != nil {
				return nil, "", err
			}
			replace[abs(file)] = to
		}
		chooser := fmt.Sprintf("package %s\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar mutantID, _ = strconv.Atoi(os.Getenv(\"TCSIM_MUTANT\"))\n", name)
		to := filepath.Join(dir, strings.ReplaceAll(j.edited, "/", "_")+"_mutant.go")
		if err := os.WriteFile(to, []byte(chooser), 0o600); err != nil {
			return nil, "", err
		}
		replace[abs(filepath.Join(j.edited, "mutant_id.go"))] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	overlay = filepath.Join(dir, "overlay.json")
	if err == nil {
		err = os.WriteFile(overlay, text, 0o600)
	}
	return all, overlay, err
}

func abs(p string) string {
	a, err := filepath.Abs(p)
	if err != nil {
		panic(err)
	}
	return a
}

// build compiles the tests.
func build(dir, overlay string, chosen []mutant) (map[string]string, error) {
	bins := map[string]string{}
	for _, j := range judges {
		if !slices.ContainsFunc(chosen, func(m mutant) bool { return m.pkg == j.edited }) {
			continue
		}
		for _, t := range j.tests {
			if bins[t.pkg] != "" {
				continue
			}
			bins[t.pkg] = filepath.Join(dir, strings.ReplaceAll(t.pkg, "/", "_")+".test")
			out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", bins[t.pkg], "./"+t.pkg).CombinedOutput()
			if err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", t.pkg, err, out)
			}
		}
	}
	return bins, nil
}

// verdict is how a package of tests takes an edit: "" if it does not notice it.
func verdict(bin string, t tests, id int, limit time.Duration) (word, output string) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, t.short, "-test.failfast", "-test.run", t.run)
	cmd.Dir = t.pkg
	cmd.Env = append(os.Environ(), fmt.Sprintf("TCSIM_MUTANT=%d", id), "GOMEMLIMIT=2GiB")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "takes too long", ""
	case err == nil:
		return "", ""
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); ok {
			return strings.Fields(name)[0], string(out)
		}
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			return "panics", string(out)
		}
	}
	return "fails", string(out)
}

func judge(chosen []mutant, bins map[string]string) error {
	limits := map[tests]time.Duration{}
	for _, j := range judges {
		for _, t := range j.tests {
			if limits[t] != 0 || !slices.ContainsFunc(chosen, func(m mutant) bool { return m.pkg == j.edited }) {
				continue
			}
			start := time.Now()
			if v, out := verdict(bins[t.pkg], t, 0, 10*time.Minute); v != "" {
				return fmt.Errorf("without an edit, %s fails: %s\n%s", t.pkg, v, out)
			}
			limits[t] = 10*time.Since(start) + 5*time.Second
			fmt.Printf("%s -run '%s' %s: %.1f s\n", t.pkg, t.run, t.short, time.Since(start).Seconds())
		}
	}
	reasons, err := known()
	if err != nil {
		return err
	}
	results := make([]string, len(chosen))
	var wg sync.WaitGroup
	work := make(chan int)
	for range *jobs {
		wg.Go(func() {
			for i := range work {
				m := &chosen[i]
				for _, j := range judges {
					for _, t := range j.tests {
						if j.edited == m.pkg && results[i] == "" {
							results[i], _ = verdict(bins[t.pkg], t, m.id, limits[t])
						}
					}
				}
				if results[i] == "" {
					fmt.Printf("survives: %d %s %s%s\n", m.id, m.place, m.key(), reasons[m.key()])
				}
			}
		})
	}
	for i := range chosen {
		work <- i
	}
	close(work)
	wg.Wait()
	return report(chosen, results, reasons)
}

func report(chosen []mutant, results []string, reasons map[string]string) error {
	fresh := 0
	for _, j := range judges {
		all, killed, reasoned := 0, 0, 0
		for i := range chosen {
			switch m := &chosen[i]; {
			case m.pkg != j.edited:
				continue
			case results[i] != "":
				killed++
			case reasons[m.key()] != "":
				reasoned++
			default:
				fresh++
			}
			all++
		}
		if all > 0 {
			fmt.Printf("%s: %d edits, %d killed, %d survive with a reason, %d without\n", j.edited, all, killed, reasoned, all-killed-reasoned)
		}
	}
	if fresh > 0 {
		return fmt.Errorf("%d edits survive without a reason", fresh)
	}
	return nil
}

// known reads the edits that are known to survive: a line with the edit, then an indented one with the reason.
func known() (map[string]string, error) {
	f, err := os.Open(".ci/mutate/survivors.txt")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := map[string]string{}
	edit := ""
	for s := bufio.NewScanner(f); s.Scan(); {
		switch line := s.Text(); {
		case strings.HasPrefix(line, "#") || line == "":
		case strings.HasPrefix(line, "\t"):
			out[edit] = " (" + strings.TrimSpace(line) + ")"
		default:
			edit = line
		}
	}
	return out, nil
}
