// SPDX-License-Identifier: GPL-2.0-only

// Package corpus keeps random cases that reached something new: a folder with a file for each, named by what is in it,
// so that folders are put together by copying files. It knows streams of choices and sets of numbers, not what they
// stand for.
//
//	f, err := corpus.Open("corpus")
//	c := f.Vary(rnd, false) // another graph like one of the folder
//	err = f.Add(c)
package corpus
