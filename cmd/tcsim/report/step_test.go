// SPDX-License-Identifier: GPL-2.0-only

package report_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// pairsInStep has the page's script pair random lists: every element comes once and in order, pairs are alike, and short
// lists have as many pairs as they can.
func pairsInStep(t *testing.T, ctx context.Context) {
	text, err := os.ReadFile("page/report.js")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "// ---- Two runs in step")
	section, _, ends := strings.Cut(rest, "// ---- The page")
	if !found || !ends {
		t.Fatal("the script has no section on runs in step")
	}
	_, section, _ = strings.Cut(section, "\n")
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	p := &tab{T: t, ctx: ctx}
	rnd := rand.New(rand.NewPCG(1, 2))
	list := func(n, kinds int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = rnd.IntN(kinds)
		}
		return out
	}
	for round := range 40 {
		n, kinds := rnd.IntN(60), 1+rnd.IntN(4)
		a, b := list(n, kinds), list(rnd.IntN(60), kinds)
		least := common(a, b)
		if round >= 36 { // too long for the fewest edits: one element in ten is missing
			a = list(20_000, 3)
			b = slices.DeleteFunc(slices.Clone(a), func(int) bool { return rnd.IntN(10) == 0 })
			least = len(b) * 97 / 100
		}
		in, err := json.Marshal([][]int{a, b})
		if err != nil {
			t.Fatal(err)
		}
		steps := value[[][2]int](p, fmt.Sprintf("(() => {%s; return inStep(...%s)})()", section, in))
		pairs := 0
		var left, right []int
		for _, s := range steps {
			if s[0] >= 0 {
				left = append(left, s[0])
			}
			if s[1] >= 0 {
				right = append(right, s[1])
			}
			if s[0] >= 0 && s[1] >= 0 {
				pairs++
				if a[s[0]] != b[s[1]] {
					t.Fatalf("round %d: %v pairs %d and %d", round, s, a[s[0]], b[s[1]])
				}
			}
		}
		if !counts(left, len(a)) || !counts(right, len(b)) {
			t.Fatalf("round %d: %v and %v give %v", round, a, b, steps)
		}
		if pairs < least {
			t.Errorf("round %d: %d pairs, %d are possible", round, pairs, least)
		}
	}
}

// counts says whether a list is 0, 1, … n-1.
func counts(list []int, n int) bool {
	for i, v := range list {
		if v != i {
			return false
		}
	}
	return len(list) == n
}

// common is the length of the longest common subsequence.
func common(a, b []int) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		before := 0
		for k, y := range b {
			now := row[k+1]
			if x == y {
				row[k+1] = before + 1
			} else {
				row[k+1] = max(now, row[k])
			}
			before = now
		}
	}
	return row[len(b)]
}
