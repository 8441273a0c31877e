// SPDX-License-Identifier: GPL-2.0-only

// Command guest is the only process of the virtual machines that tcsim vm boots: it captures what
// order asks for from the kernel that it runs on, sends the capture over the second serial line
// and ends the machine. It must be built without cgo; it never runs a program that it loads.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tcsim/tcsim/jit/capture"
	"github.com/tcsim/tcsim/jit/capture/inside"
	"github.com/tcsim/tcsim/jit/capture/live"
	"github.com/tcsim/tcsim/jit/capture/vm"
)

func main() {
	if !inside.Is() {
		fmt.Fprintln(os.Stderr, "guest: this is the init process of the virtual machines of tcsim vm, and of no other")
		os.Exit(2)
	}
	inside.Main(func() (string, []byte) {
		data, err := work()
		var missing live.Missing
		switch {
		case errors.As(err, &missing):
			return vm.Missing, []byte(missing.Error())
		case errors.Is(err, capture.ErrOrder):
			return vm.Stale, []byte(err.Error())
		case err != nil:
			return vm.Failed, []byte(err.Error())
		}
		return vm.Result, data
	})
}

// work captures what is asked for.
func work() ([]byte, error) {
	text, err := os.ReadFile("/" + vm.OrderFile)
	if err != nil {
		return nil, err
	}
	scenarios, err := capture.UnpackOrder(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vm.OrderFile, err)
	}
	var opt live.Options
	if _, err := os.Stat("/" + vm.ConfigFile); err == nil {
		opt.Config = "/" + vm.ConfigFile
	}
	k, err := live.Open(opt)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	k.Header.Variant = "vm"
	sent := time.Now()
	f, err := k.Capture(context.Background(), scenarios, func(done int) {
		fmt.Printf("guest: %d of %d\n", done, len(scenarios))
		if time.Since(sent) < partEvery || done == len(scenarios) {
			return
		}
		if err := sendPart(k, scenarios[:done]); err != nil {
			fmt.Println("guest: cannot send what there is so far:", err)
		}
		sent = time.Now()
	})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = capture.Write(&out, f)
	return out.Bytes(), err
}

// partEvery is how often what was captured so far is sent.
const partEvery = 20 * time.Second

// sendPart sends what was captured so far.
func sendPart(k *live.Kernel, done []capture.Scenario) error {
	var out bytes.Buffer
	if err := capture.Write(&out, k.File(done)); err != nil {
		return err
	}
	return inside.Send(vm.Frame(vm.Partial, out.Bytes()))
}
