// SPDX-License-Identifier: GPL-2.0-only

package report_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"os"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/tcsim/tcsim/fixtures/golden"
)

// The size of the small pictures. A letter of a view is less than a point of it.
const smallWidth, smallHeight = 64, 50

// media sets what the page is told of the reader's taste, and what it is shown on: "screen" or "print".
func media(scheme, on string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Media:    on,
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

// small is a picture in grey, each point of which is the mean of many.
func small(t *testing.T, shot []byte) []byte {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	var sum, n [smallWidth * smallHeight]int
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			at := (y-b.Min.Y)*smallHeight/b.Dy()*smallWidth + (x-b.Min.X)*smallWidth/b.Dx()
			sum[at] += int(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y)
			n[at]++
		}
	}
	out := make([]byte, len(sum))
	for i := range sum {
		out[i] = byte(sum[i] / max(1, n[i]))
	}
	return out
}

// goldenPicture reads a small picture, or writes it under -update.
func goldenPicture(t *testing.T, file string, got []byte) []byte {
	t.Helper()
	if golden.Update() {
		var out bytes.Buffer
		img := &image.Gray{Pix: got, Stride: smallWidth, Rect: image.Rect(0, 0, smallWidth, smallHeight)}
		if err := png.Encode(&out, img); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, file, out.String())
		return got
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (-update writes it)", err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	grey, ok := img.(*image.Gray)
	if !ok {
		t.Fatalf("%s: not grey", file)
	}
	return grey.Pix
}
