// SPDX-License-Identifier: GPL-2.0-only

//go:build !linux

package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"
)

func (e env) capture(context.Context, *cli.Command) error {
	return fmt.Errorf("%w: capture needs Linux", errUntestable)
}
