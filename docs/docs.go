// SPDX-License-Identifier: GPL-2.0-only

// Package docs is the documentation as an embedded file system, for tcsim help and the manual pages.
package docs

import "embed"

// FS holds the pages.
//
//go:embed *.md
var FS embed.FS
