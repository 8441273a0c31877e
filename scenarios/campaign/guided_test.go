// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

package campaign_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/tcsim/tcsim/scenarios/campaign"
	"github.com/tcsim/tcsim/scenarios/corpus"
	"github.com/tcsim/tcsim/scenarios/worker"
)

// guide plays a guided campaign up to case n in the folder, with workers of this process.
func guide(t *testing.T, c campaign.Campaign, dir string, others ...string) (*campaign.CampaignReport, *corpus.Folder) {
	t.Helper()
	f, err := corpus.Open(dir, others...)
	if err != nil {
		t.Fatal(err)
	}
	c.Corpus, c.Start = f, worker.Inside(map[string]worker.Job{campaign.FuzzJob: campaign.Fuzzing})
	r, err := c.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r.Interrupted || r.Corpus == nil {
		t.Fatalf("%+v", r)
	}
	again, err := corpus.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r, again
}

func mixed(n, workers int) campaign.Campaign {
	c := campaign.Campaign{
		Source: campaign.FuzzSource{Seed: 5, Kind: campaign.FuzzMixed}, Graphs: n, During: 1, Workers: workers, Targets: []string{"5.10", "6.12"},
	}
	if testing.Short() {
		c.Targets = c.Targets[1:]
	}
	return c
}

// The folder depends on seed and number of cases, not on workers or on where a campaign was resumed; and guided cases
// reach more than the first ones did.
func TestGuided(t *testing.T) {
	const round = 8 * 32
	one, three, halves := t.TempDir(), t.TempDir(), t.TempDir()
	r, a := guide(t, mixed(2*round, 1), one)
	_, b := guide(t, mixed(2*round, 3), three)
	if !reflect.DeepEqual(a.Cases(), b.Cases()) {
		t.Errorf("one worker keeps %d cases, three keep %d, expected the same", len(a.Cases()), len(b.Cases()))
	}
	first, _ := guide(t, mixed(round, 2), halves)
	second, c := guide(t, mixed(2*round, 2), halves)
	if !reflect.DeepEqual(a.Cases(), c.Cases()) || second.Corpus.From != round || second.Corpus.Reached != r.Corpus.Reached {
		t.Errorf("resumed: %v; at once: %v", second.Corpus, r.Corpus)
	}
	if r.Graphs != 2*round || len(r.Failures) != 0 || first.Corpus.Reached >= r.Corpus.Reached || r.Corpus.Found < 50 {
		t.Errorf("%+v, %v after %v", r, r.Corpus, first.Corpus)
	}
	again, d := guide(t, mixed(2*round, 2), one)
	if !reflect.DeepEqual(a.Cases(), d.Cases()) || again.Graphs != len(a.Cases()) || again.Corpus.Reached != r.Corpus.Reached {
		t.Errorf("played once more: %v", again.Corpus)
	}
}

// Folders of two seeds are put together, and minimised, and reach what they reached.
func TestGuidedMerge(t *testing.T) {
	if testing.Short() {
		t.Skip("plays 900 cases")
	}
	a, b := t.TempDir(), t.TempDir()
	c := mixed(200, 2)
	ra, _ := guide(t, c, a)
	c.Source.Seed = 6
	rb, fb := guide(t, c, b)
	both, fa := guide(t, c, a, b)
	if both.Corpus.Reached < max(ra.Corpus.Reached, rb.Corpus.Reached) || len(fa.Cases()) <= ra.Corpus.Ended || both.Corpus.Began != ra.Corpus.Ended+len(fb.Cases()) {
		t.Errorf("%v and %v come to %v", ra.Corpus, rb.Corpus, both.Corpus)
	}
	c.Minimise = true
	small, fs := guide(t, c, a)
	if small.Corpus.Reached < both.Corpus.Reached || len(fs.Cases()) >= len(fa.Cases()) {
		t.Errorf("%v, minimised %v", both.Corpus, small.Corpus)
	}
	c.Minimise = false
	after, _ := guide(t, c, a)
	if after.Corpus.Reached != small.Corpus.Reached {
		t.Errorf("%v before, %v after", small.Corpus, after.Corpus)
	}
}

// What fails in a guided campaign is found, and made small, like in another one, and again from the folder alone.
func TestGuidedFailure(t *testing.T) {
	dir := t.TempDir()
	c := campaign.Campaign{Source: campaign.FuzzSource{Seed: 1}, Graphs: 150, Shrink: 1, Targets: []string{"6.12", "pop-nop-push"}}
	for _, from := range []bool{true, false} {
		r, _ := guide(t, c, dir)
		if len(r.Failures) == 0 || r.Failures[0].Target != "pop-nop-push" || !r.Failures[0].Shrunk || (r.Failures[0].Kept == "") != from {
			t.Fatalf("%+v", r.Failures)
		}
		if files, err := r.Failures[0].Files(c.Source, 0); err != nil || len(files) != 3 {
			t.Errorf("%v: %v", err, files)
		}
	}
}
