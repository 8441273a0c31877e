// SPDX-License-Identifier: GPL-2.0-only

//go:build !linux

package main

func silence() error { return nil }
