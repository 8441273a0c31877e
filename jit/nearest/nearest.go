// SPDX-License-Identifier: GPL-2.0-only

package nearest

import "fmt"

// DidYouMean returns `; did you mean "X"?` with the first of the known names that a slip of the hand
// makes of word: at most one in three of its letters wrong, missing, extra or exchanged with a
// neighbour, or a name that begins with word. It returns "" if there is none.
func DidYouMean(word string, known []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, k := range known {
		d := slips(word, k)
		if len(word) > 2 && len(k) > len(word) && k[:len(word)] == word {
			d = 1
		}
		if d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// slips is the number of bytes to change, insert, remove or exchange with the next one to make b of a
// (optimal string alignment).
func slips(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur, above, above2 := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			wrong := 1
			if a[i-1] == b[j-1] {
				wrong = 0
			}
			cur[j] = min(above[j]+1, cur[j-1]+1, above[j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], above2[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
