// SPDX-License-Identifier: GPL-2.0-only

package campaign_test

import (
	"testing"

	"github.com/tcsim/tcsim/fixtures/flood"
	"github.com/tcsim/tcsim/scenarios/campaign"
)

// FuzzReadShard: what is no part is an error, and adding up never fails otherwise.
func FuzzReadShard(f *testing.F) {
	f.Add([]byte(`{"schema": "` + campaign.ShardSchema + `", "number": 1, "of": 2}`))
	f.Add([]byte(`{"schema": "` + campaign.ShardSchema + `", "number": 1, "of": 1, "cases": -1, "campaign": {"cases": -1}}`))
	f.Add([]byte(`{"schema": "` + campaign.ShardSchema + `", "number": 9, "of": 18446744073709551615, "campaign": {"cases": 4611686018427387904}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(flood.One(func(t *testing.T, data []byte) {
		s, err := campaign.ReadShard(data)
		if (s == nil) == (err == nil) {
			t.Fatalf("%v with error %v", s, err)
		}
		if err != nil {
			return
		}
		for _, parts := range [][]*campaign.FuzzShard{{s}, {s, s}} {
			if all, err := campaign.Merge(parts, []string{"a", "b"}); (all == nil) == (err == nil) {
				t.Fatalf("%v with error %v", all, err)
			}
		}
	}))
}
