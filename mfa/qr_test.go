// SPDX-License-Identifier: Apache-2.0

package mfa_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"image/png"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"
	"github.com/portalsec/portalsec/mfa"
	"github.com/stretchr/testify/require"
)

// symbol gives the modules of the URI's QR code with four light ones around, a line of text each row.
func symbol(t *testing.T, uri string) string {
	t.Helper()
	code, err := qr.Encode(uri, qr.M, qr.Auto)
	require.NoError(t, err)
	require.Equal(t, uri, code.Content())
	n := code.Bounds().Dx()
	return draw(n+8, func(x, y int) bool {
		x, y = x-4, y-4
		return x >= 0 && y >= 0 && x < n && y < n && code.At(x, y) == color.Black
	})
}

func draw(n int, dark func(x, y int) bool) string {
	var b strings.Builder
	for y := range n {
		for x := range n {
			if dark(x, y) {
				b.WriteByte('#')
			} else {
				b.WriteByte('.')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestPNG(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, err := b.BeginTOTP(t.Context(), ann)
	require.NoError(t, err)
	want := symbol(t, e.URI)
	n := strings.IndexByte(want, '\n')
	for _, size := range []int{n, 256, 301, 1024} {
		data, err := e.PNG(size)
		require.NoError(t, err)
		img, err := png.Decode(bytes.NewReader(data))
		require.NoError(t, err)
		require.Equal(t, size, img.Bounds().Dx())
		require.Equal(t, size, img.Bounds().Dy())
		scale := size / n
		margin := (size-(n-8)*scale)/2 - 4*scale
		require.GreaterOrEqual(t, margin, 0)
		require.Equal(t, want, draw(n, func(x, y int) bool {
			r, _, _, _ := img.At(margin+x*scale+scale/2, margin+y*scale+scale/2).RGBA()
			return r == 0
		}), size)
	}
	for _, size := range []int{-1, 0, n - 1, 4097} {
		_, err := e.PNG(size)
		require.ErrorContains(t, err, fmt.Sprintf("want %d to 4096", n))
	}
}

func TestSVG(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, err := b.BeginTOTP(t.Context(), ann)
	require.NoError(t, err)
	data, err := e.SVG()
	require.NoError(t, err)
	require.NotContains(t, string(data), "style")
	require.NotContains(t, string(data), e.Secret)
	var doc struct {
		ViewBox string `xml:"viewBox,attr"`
		Paths   []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	require.NoError(t, xml.Unmarshal(data, &doc))
	require.Len(t, doc.Paths, 2)

	want := symbol(t, e.URI)
	n := strings.IndexByte(want, '\n')
	require.Equal(t, fmt.Sprintf("0 0 %d %d", n, n), doc.ViewBox)
	dark := make(map[[2]int]bool)
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-\d+z`).FindAllStringSubmatch(doc.Paths[1].D, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		w, _ := strconv.Atoi(m[3])
		for i := range w {
			dark[[2]int{x + i, y}] = true
		}
	}
	require.Equal(t, want, draw(n, func(x, y int) bool { return dark[[2]int{x, y}] }))
}

func TestQRTooLong(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e, err := b.BeginTOTP(t.Context(), mfa.User{Tenant: "acme", ID: "ann", Label: strings.Repeat("a", 3000), Visit: "s-1"})
	require.NoError(t, err)
	_, err = e.SVG()
	require.ErrorContains(t, err, "too long")
	require.NotContains(t, err.Error(), e.Secret)
}
