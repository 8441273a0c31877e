// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/tcsim/tcsim/cmd/tcsim/boot"
	"github.com/tcsim/tcsim/cmd/tcsim/inputs"
	"github.com/tcsim/tcsim/cmd/tcsim/render"
	"github.com/tcsim/tcsim/cmd/tcsim/units"
	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/vm"
	"github.com/tcsim/tcsim/jit/parts"
	"github.com/tcsim/tcsim/scenarios/replay"
	"github.com/tcsim/tcsim/scenarios/runner"
)

// virtual boots kernels one after the other and collects what their code does.
type virtual struct {
	env
	cmd     *cli.Command
	what    *inputs.Order
	several bool
	guest   []byte
	had     *capture.File // that --resume names; nil without

	booted
	interrupted bool
}

// booted is what came out of kernels, and what a part keeps of one.
type booted struct {
	Captures []*render.Captured `json:"captures"`
	Rows     []render.ReplayRow `json:"rows"`
	Failed   bool               `json:"failed"` // something could not be set up in a kernel
}

// unit boots a kernel, or has what another machine found, and adds that to what there is.
func (v *virtual) unit(ctx context.Context, w *parts.Work, n int, kernel string) error {
	before := v.booted
	one, _, err := parts.Try(w, n, func() (booted, error) {
		v.booted = booted{}
		err := v.one(ctx, kernel)
		return v.booted, err
	})
	v.booted = booted{append(before.Captures, one.Captures...), append(before.Rows, one.Rows...), before.Failed || one.Failed}
	return err
}

// prepare finds every mistake before anything boots.
func (v *virtual) prepare(ctx context.Context, kernels []string) (err error) {
	var errs []error
	for _, k := range kernels {
		if info, err := os.Stat(k); err != nil || !info.Mode().IsRegular() {
			errs = append(errs, badUsage("--kernel: %s is not a file that holds a kernel%s", k, because(err)))
		} else if _, err := boot.Files(nil, k, v.cmd.String("config")); err != nil {
			errs = append(errs, badInput(err))
		}
	}
	if path := v.cmd.String("resume"); path != "" {
		src, err := capture.Open(path)
		if err == nil {
			v.had, err = src.File()
		}
		if err != nil {
			errs = append(errs, badInput(err))
		}
	}
	if !v.several {
		errs = append(errs, writable(v.cmd))
	}
	bad := errors.Join(errs...)
	v.guest, err = boot.Guest(ctx, v.self, v.cmd.String("guest"))
	switch {
	case errors.Is(err, boot.ErrNoGuest) && bad == nil:
		return fmt.Errorf("%w: %w", errUntestable, err)
	case err != nil && !errors.Is(err, boot.ErrNoGuest):
		bad = errors.Join(bad, badInput(err))
	}
	if dir := v.cmd.String("output"); bad == nil && v.several && dir != "" {
		return badInput(os.MkdirAll(dir, 0o777))
	}
	return bad
}

// because is an error at the end of a message, nothing if it is nil.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// one boots a kernel for what is not captured yet and replays it. What a boot that fails had captured is kept.
func (v *virtual) one(ctx context.Context, kernel string) error {
	wanted := v.what.Scenarios
	if v.had != nil {
		lacks := v.had.Lacks(names(wanted))
		wanted = slices.DeleteFunc(slices.Clone(wanted), func(sc capture.Scenario) bool { return !slices.Contains(lacks, sc.Name) })
		if len(wanted) == 0 {
			return v.judge(ctx, kernel, v.had)
		}
	}
	text, bootErr := v.boot(ctx, kernel, wanted)
	if text == nil {
		return bootErr
	}
	src, err := capture.Read(bytes.NewReader(text), kernel)
	if err != nil {
		return errors.Join(bootErr, fmt.Errorf("the guest's capture: %w", err))
	}
	f, err := src.File()
	if err != nil {
		return errors.Join(bootErr, fmt.Errorf("the guest's capture: %w", err))
	}
	if bootErr != nil {
		bootErr = fmt.Errorf("%w\nbefore that, %d of %d scenarios were captured", bootErr, len(f.Scenarios), len(wanted))
	}
	if v.had != nil {
		if err := v.had.Merge(f); err != nil {
			return badInput(err)
		}
		f = v.had
	}
	return errors.Join(v.judge(ctx, kernel, f), bootErr)
}

func names(scenarios []capture.Scenario) []string {
	var out []string
	for i := range scenarios {
		out = append(out, scenarios[i].Name)
	}
	return out
}

// boot returns a capture: the whole one or, with an error, what there was until the boot failed.
func (v *virtual) boot(ctx context.Context, kernel string, wanted []capture.Scenario) ([]byte, error) {
	files, err := boot.Files(wanted, kernel, v.cmd.String("config"))
	if err != nil {
		return nil, badInput(err)
	}
	fmt.Fprintf(v.stderr, "tcsim: booting %s\n", kernel)
	start := time.Now()
	a, err := vm.Boot(ctx, vm.Options{
		Kernel: kernel, Init: v.guest, Files: files, Append: v.cmd.String("append"), CPU: v.cmd.String("cpu"), Accel: v.cmd.String("accel"),
		Memory: v.cmd.Int("memory"), Timeout: v.cmd.Duration("timeout"), QEMU: v.cmd.String("qemu"),
	})
	var boot *vm.BootError
	switch {
	case errors.As(err, &boot):
		return boot.Partial, fmt.Errorf("%w: %w", errUntestable, err)
	case errors.Is(err, vm.ErrNoQEMU):
		return nil, fmt.Errorf("%w: %w", errUntestable, err)
	case err != nil:
		return nil, badInput(err)
	case a.Kind == vm.Missing:
		return nil, fmt.Errorf("%w: the guest reports: %s", errUntestable, a.Data)
	case a.Kind == vm.Stale:
		return nil, badInput(fmt.Errorf("tcsim-guest and tcsim are of different versions: build both with make build: %s", a.Data))
	case a.Kind != vm.Result:
		return nil, fmt.Errorf("the guest reports: %s", a.Data)
	}
	fmt.Fprintf(v.stderr, "tcsim: captured after %.0f s (%s, %s)\n", time.Since(start).Seconds(), a.Accel, a.CPU)
	return a.Data, nil
}

// output is where the capture of a kernel is kept, "" if nowhere.
func (v *virtual) output(f *capture.File) string {
	out := v.cmd.String("output")
	switch {
	case out != "" && v.several:
		return filepath.Join(out, f.Header.Kernel.Release+".jsonl.gz")
	case out == "":
		return v.cmd.String("resume")
	}
	return out
}

// judge keeps a capture and replays it.
func (v *virtual) judge(ctx context.Context, kernel string, f *capture.File) error {
	name := "vm"
	out := v.output(f)
	var unwritten error
	if out != "" {
		name = out
		unwritten = badInput(capture.WriteFile(out, f)) // the verdicts are printed all the same
	} else if v.several {
		name = kernel
	}
	sum := &render.Captured{File: name}
	sum.Describe(f)
	v.Captures = append(v.Captures, sum)
	v.Failed = v.Failed || len(sum.Failed) > 0
	var text bytes.Buffer
	if err := capture.Write(&text, f); err != nil {
		return err
	}
	src, err := capture.Read(&text, name)
	if err != nil {
		return err
	}
	t, err := replay.TargetOf(src)
	if err != nil {
		return fmt.Errorf("%w: %w", errUntestable, err)
	}
	r, err := replay.New(runner.Options{})
	if err != nil {
		return err
	}
	defer r.Close()
	bar := v.progress(filepath.Base(src.Name))
	defer bar.Done()
	row, err := units.Replay(ctx, nil, r, src, t, "", bar.Set)
	if row != nil {
		v.Rows = append(v.Rows, *row)
	}
	if cutShort(ctx, err) && row != nil {
		v.interrupted, err = true, nil
	}
	return errors.Join(unwritten, err)
}

// print shows what came out of all kernels.
func (v *virtual) print(errs []error) error {
	if len(v.Captures) > 0 || v.interrupted {
		if v.cmd.Bool("json") {
			if err := render.JSON(v.stdout, render.VM{Captures: v.Captures, Interrupted: v.interrupted, Replay: v.Rows, Schema: render.SchemaVM}); err != nil {
				return err
			}
		} else {
			for _, c := range v.Captures {
				c.Print(v.stdout)
			}
			render.ReplayText(v.stdout, v.Rows)
		}
	}
	if err := errors.Join(errs...); err != nil || v.interrupted {
		return errors.Join(err, orInterrupted(v.interrupted, nil))
	}
	if v.Failed {
		return errFailed
	}
	return replayVerdict(v.Rows)
}
