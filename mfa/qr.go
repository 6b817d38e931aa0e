// SPDX-License-Identifier: Apache-2.0

package mfa

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
)

const (
	quietZone = 4    // modules around the symbol, ISO/IEC 18004 section 6.3.8
	largestQR = 4096 // pixels
)

// PNG gives the QR code of the URI as a square picture of size pixels, at most 4096, with the light margin that
// readers need. About 256 suits a screen. It fails when size is too small to hold the code.
func (e Enrolment) PNG(size int) ([]byte, error) {
	code, err := e.qr()
	if err != nil {
		return nil, err
	}
	n := code.Bounds().Dx()
	scale := size / (n + 2*quietZone)
	if scale < 1 || size > largestQR {
		return nil, fmt.Errorf("mfa: QR code of %d pixels: want %d to %d", size, n+2*quietZone, largestQR)
	}
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{color.White, color.Black})
	margin := (size - n*scale) / 2
	for y := range n * scale {
		for x := range n * scale {
			if dark(code, x/scale, y/scale) {
				img.SetColorIndex(margin+x, margin+y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("mfa: QR code: %w", err)
	}
	return b.Bytes(), nil
}

// SVG gives the QR code of the URI as an SVG element that scales to any size. It needs no style or script, so it
// can stand in a page under a strict content security policy.
func (e Enrolment) SVG() ([]byte, error) {
	code, err := e.qr()
	if err != nil {
		return nil, err
	}
	n := code.Bounds().Dx()
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[1]d" role="img" aria-label="QR code" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path fill="#000" d="`, n+2*quietZone)
	for y := range n {
		for x := 0; x < n; x++ {
			start := x
			for x < n && dark(code, x, y) {
				x++
			}
			if x > start {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", start+quietZone, y+quietZone, x-start, x-start)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.Bytes(), nil
}

// qr gives the symbol, one pixel for each module, with medium error correction.
func (e Enrolment) qr() (barcode.Barcode, error) {
	code, err := qr.Encode(e.URI, qr.M, qr.Auto)
	if err != nil {
		return nil, errors.New("mfa: QR code: issuer and label are too long") // the cause may quote the URI
	}
	return code, nil
}

func dark(code barcode.Barcode, x, y int) bool { return code.At(x, y) == color.Black }
