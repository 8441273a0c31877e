// SPDX-License-Identifier: GPL-2.0-only

package replay_test

import (
	"os"
	"testing"

	"github.com/tcsim/tcsim/jit/capture"
)

// TestReplayEntries replays code that was edited where no run notices: entries, attach sites, the initialisation
// of the counter, the choice between counter and pointer, and the image of one state only.
func TestReplayEntries(t *testing.T) {
	for file, want := range map[string]string{
		"noendbr.jsonl.gz": "endbr64 is not here",
		"nonop5.jsonl.gz":  "one instruction of five bytes",
		"empty.jsonl.gz":   "with the prog arrays empty, nothing skips the tail call",
		"pro-a.jsonl.gz":   "which keeps tail_call_cnt",
		"pro-b.jsonl.gz":   "is expected before the frame",
	} {
		t.Run(file, func(t *testing.T) {
			src, err := capture.OpenFS(os.DirFS("testdata"), file, file)
			must(t, err)
			replayWrong(t, src, 0, nil, want)
		})
	}
}
