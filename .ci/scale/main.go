// SPDX-License-Identifier: GPL-2.0-only

// Command scale writes large inputs to standard output, for the tables of docs/scale.md:
//
//	go run ./.ci/scale programs 10000          a scenario of so many programs, each with a tail call to the next
//	go run ./.ci/scale instructions 100000     a scenario of a program of so many instructions
//	go run ./.ci/scale calls 100000            one that calls a function so many times
//	go run ./.ci/scale tailcalls 20000         one with so many tail calls, none of which is taken
//	go run ./.ci/scale capture 50000 FILE      a capture of at least so many programs: the scenarios of FILE again and again
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	err := write(out, os.Args[1:])
	if err = errors.Join(err, out.Flush()); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func write(w io.Writer, args []string) error {
	if len(args) < 2 {
		return errors.New("expected what to write and a number, see the head of this file")
	}
	n, err := strconv.Atoi(args[1])
	switch {
	case err != nil || n < 1:
		return fmt.Errorf("expected a number from 1, found %q", args[1])
	case args[0] == "capture" && len(args) == 3:
		return capture(w, n, args[2])
	case len(args) != 2:
		return errors.New("expected what to write and a number")
	}
	repeat := func(text string) { // with the number of the line
		for i := range n {
			fmt.Fprintf(w, text, i)
		}
	}
	fmt.Fprintf(w, "version: 1\nname: %s%d\n", args[0], n)
	one := "programs:\n  p0: |\n"
	switch args[0] {
	case "programs":
		fmt.Fprintf(w, "maps:\n  jmp: {type: prog_array, max_entries: %d, slots: {", n)
		repeat("%[1]d: p%[1]d, ")
		io.WriteString(w, "}}\nprograms:\n")
		for i := range n {
			fmt.Fprintf(w, "  p%d: {steps: [{tail_call: \"jmp[%d]\"}, {return: 1}]}\n", i, (i+1)%n)
		}
	case "instructions":
		io.WriteString(w, one)
		repeat("    r1 = %d\n")
		io.WriteString(w, "    r0 = 1\n    exit\n")
	case "calls":
		io.WriteString(w, one+strings.Repeat("    call sub\n", n)+"    r0 = 1\n    exit\n    sub:\n    r0 = 1\n    exit\n")
	case "tailcalls":
		fmt.Fprintf(w, "maps:\n  jmp: {type: prog_array, max_entries: %d}\n%s    r6 = r1\n", n, one)
		repeat("    r1 = r6\n    r2 = jmp ll\n    r3 = %d\n    call 12\n")
		io.WriteString(w, "    r0 = 1\n    exit\n")
	default:
		return fmt.Errorf("expected programs, instructions, calls, tailcalls or capture, found %q", args[0])
	}
	_, err = io.WriteString(w, "runs:\n  - {run: p0, expect: {return: 1}}\n")
	return err
}

// count is how many scenarios a capture says that it has.
var count = regexp.MustCompile(`"scenarios":[0-9]+`)

// capture repeats the scenarios of a capture under other names until there are n programs.
func capture(w io.Writer, n int, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	in, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var body, rest [][]byte
	for round := 0; n > 0; round++ {
		before := n
		for _, line := range lines[1:] {
			var s struct {
				Type, Name string
				Progs      []json.RawMessage
			}
			if err := json.Unmarshal(line, &s); err != nil {
				return err
			}
			if s.Type != "scenario" && round == 0 {
				rest = append(rest, line)
			}
			if s.Type != "scenario" || n <= 0 {
				continue
			}
			n -= len(s.Progs)
			old, renamed := fmt.Sprintf(`"name":%q`, s.Name), fmt.Sprintf(`"name":"%d/%s"`, round, s.Name)
			body = append(body, bytes.Replace(line, []byte(old), []byte(renamed), 1))
		}
		if n == before {
			return fmt.Errorf("%s has no programs", file)
		}
	}
	out := gzip.NewWriter(w)
	head := count.ReplaceAll(lines[0], fmt.Append(nil, `"scenarios":`, len(body)))
	for _, line := range slices.Concat([][]byte{head}, body, rest) {
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return out.Close()
}
