// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/portalsec/portalsec/audit/ledger"
)

// A line that is taken is, byte for byte, the one that the package writes for what was read from it.
func FuzzParseLine(f *testing.F) {
	content, err := os.ReadFile("testdata/v1/audit.log")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		f.Add(bytes.TrimSuffix(line, []byte("\n")))
	}
	f.Add(ledger.AppendLine(nil, 1<<63, ledger.Genesis, ledger.Link(1<<63, ledger.Genesis, nil), nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, ok := ledger.ParseLine(b)
		if !ok {
			return
		}
		if l.Hash != ledger.Link(l.Index, l.Prev, l.Event) {
			t.Errorf("wrong hash taken: %q", b)
		}
		if again := ledger.AppendLine(nil, l.Index, l.Prev, l.Hash, l.Event); !bytes.Equal(again, append(b, '\n')) {
			t.Errorf("read %q, would write %q", b, again)
		}
	})
}

// Any file gets a verdict, and a good one only if reading it gives as many entries as the report says.
func FuzzVerify(f *testing.F) {
	content, err := os.ReadFile("testdata/v1/audit.log")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte(ledger.Header))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		content = append(content, '\n') // else most inputs wait for a line to be finished
		r, err := ledger.VerifyBytes(content)
		if err != nil {
			return
		}
		if !r.OK() && r.FirstBad != 0 && r.FirstBad != r.Entries+1 {
			t.Errorf("first bad entry %d after %d good ones", r.FirstBad, r.Entries)
		}
		if r.OK() && uint64(bytes.Count(content, []byte("\n"))) != r.Entries+1 {
			t.Errorf("%d entries found good in %q", r.Entries, content)
		}
	})
}
